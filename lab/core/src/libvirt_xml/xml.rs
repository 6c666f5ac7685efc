//! An XML element as plain data, written and read by quick-xml.
//!
//! libvirt's documents are small, so they are built and read as trees: the code that makes one then has the
//! shape of the document. Nothing here knows libvirt.

use quick_xml::XmlVersion;
use quick_xml::escape::{partial_escape, resolve_predefined_entity};
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;
use quick_xml::writer::Writer;

/// Elements nested deeper than this are refused: no document of libvirt comes near it.
const MAX_DEPTH: usize = 64;

/// Why a text is not an XML document that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The parser's own words.
    #[error("not well-formed XML at byte {position}: {message}")]
    Syntax {
        /// Offset in the text.
        position: u64,
        /// The parser's message.
        message: String,
    },
    /// The text ended inside an element, or has none.
    #[error("the XML document is not complete")]
    Incomplete,
    /// More levels than any document of libvirt has.
    #[error("the XML document is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// An element with its attributes, in order, and its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// As written, with its prefix if it has one; when read, the local name.
    pub(crate) name: String,
    /// The URI its prefix stands for. Only filled by [`parse`].
    pub(crate) namespace: Option<String>,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

/// An empty element of this name.
pub(crate) fn element(name: &str) -> Element {
    Element { name: name.to_owned(), ..Element::default() }
}

impl Element {
    /// Adds an attribute.
    pub(crate) fn attribute(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets the text. An element has text or children, not both.
    pub(crate) fn text(mut self, text: impl ToString) -> Self {
        self.text = text.to_string();
        self
    }

    /// Adds a child.
    pub(crate) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// Adds children.
    pub(crate) fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// The value of an attribute.
    pub(crate) fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == attribute).map(|(_, value)| value.as_str())
    }

    /// The text between the tags, without the white space round it.
    pub(crate) fn content(&self) -> &str {
        self.text.trim()
    }

    /// The first child at the end of a path of names.
    pub(crate) fn find(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.children.iter().find(|child| child.name == *name))
    }

    /// All children of this name.
    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The document, indented by two spaces, with a newline at its end.
    pub(crate) fn to_document(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer).expect("writing to memory cannot fail");
        let mut document = String::from_utf8(writer.into_inner()).expect("the writer was given only UTF-8");
        document.push('\n');
        document
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let start = BytesStart::new(self.name.as_str()).with_attributes(attributes);
        if self.children.is_empty() && self.text.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if self.children.is_empty() {
            // Quotes need no escape in text, and JSON without `&quot;` can be read.
            writer.write_event(Event::Text(BytesText::from_escaped(partial_escape(&self.text))))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str())))
    }
}

/// Reads a document into its root element. Comments, processing instructions and document types are
/// passed over.
pub(crate) fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let position = reader.buffer_position();
        let syntax = |message: String| XmlError::Syntax { position, message };
        let (namespace, event) = reader.read_resolved_event().map_err(|error| syntax(error.to_string()))?;
        let closed = match event {
            Event::Start(start) => {
                if open.len() == MAX_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                open.push(begin(&namespace, &start).map_err(syntax)?);
                None
            }
            Event::Empty(start) => Some(begin(&namespace, &start).map_err(syntax)?),
            Event::End(_) => open.pop(),
            Event::Eof => return Err(XmlError::Incomplete),
            other => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&characters(other).map_err(syntax)?);
                }
                None
            }
        };
        match (closed, open.last_mut()) {
            (Some(element), Some(parent)) => parent.children.push(element),
            (Some(root), None) => return Ok(root),
            (None, _) => {}
        }
    }
}

fn begin(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<Element, String> {
    let attributes = start
        .attributes()
        .map(|attribute| {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            Ok((attribute.key.as_ref().to_owned(), value.into_owned()))
        })
        .collect::<Result<_, String>>()?;
    Ok(Element {
        name: start.local_name().as_ref().to_owned(),
        namespace: match namespace {
            ResolveResult::Bound(Namespace(uri)) => Some((*uri).to_owned()),
            ResolveResult::Unbound | ResolveResult::Unknown(_) => None,
        },
        attributes,
        ..Element::default()
    })
}

/// The characters an event stands for: text, a CDATA section, or a reference such as `&amp;`.
fn characters(event: Event<'_>) -> Result<String, String> {
    match event {
        Event::Text(text) => Ok(text.xml10_content().into_owned()),
        Event::CData(data) => Ok(data.xml10_content().into_owned()),
        Event::GeneralRef(reference) => {
            if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
                return Ok(character.to_string());
            }
            resolve_predefined_entity(&reference)
                .map(str::to_owned)
                .ok_or_else(|| format!("unknown entity &{};", &*reference))
        }
        _ => Ok(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_reads_back_as_written() {
        let written = element("a")
            .attribute("path", "/x y/\"&<'>")
            .child(element("b").text("1 < 2 & \"three\" – 'four'"))
            .child(element("c"));
        let read = parse(&written.to_document()).unwrap();
        assert_eq!(read.get("path"), Some("/x y/\"&<'>"));
        assert_eq!(read.find(&["b"]).unwrap().content(), "1 < 2 & \"three\" – 'four'");
        assert!(read.find(&["c"]).is_some());
    }

    #[test]
    fn prefix_resolves_to_namespace() {
        let root = parse("<a xmlns:p='urn:one'><p:b/><b xmlns='urn:two'/><b/></a>").unwrap();
        let namespaces: Vec<_> = root.all("b").map(|b| b.namespace.as_deref()).collect();
        assert_eq!(namespaces, [Some("urn:one"), Some("urn:two"), None]);
    }

    #[test]
    fn broken_documents_are_refused() {
        for text in [
            "",
            "<a>",
            "<a></b>",
            "<a b=c/>",
            "<a>&nothing;</a>",
            "<a>&#xD800;</a>",
            "text",
            "<a b='1' b='2'/>",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse(&"<a>".repeat(100_000)), Err(XmlError::TooDeep));
    }
}
