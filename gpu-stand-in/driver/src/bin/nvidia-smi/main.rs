//! `nvidia-smi` of the stand-in: shows what the `libnvidia-ml.so.1` in reach says, as programs and people ask the real
//! one. It says STAND-IN in its first line, and understands what the GPU stack and our checks ask:
//! `-L`, `-q`, `--query-gpu`, and no arguments. It ends with NVML's own number where NVML does not answer.

mod nvml;
mod show;

use std::io::Write as _;
use std::process::ExitCode;

use nvml::{Failure, Nvml};

/// NVML's number for an argument that cannot be: the real program ends with it too.
const INVALID_ARGUMENT: u8 = 2;
/// NVML's number for a library that is not there.
const LIBRARY_NOT_FOUND: u8 = 12;
/// NVML's number for nothing found.
const NOT_FOUND: u8 = 6;

const HELP: &str = "\
NVIDIA-SMI STAND-IN (no GPU)

    nvidia-smi                                    a table of the GPUs
    nvidia-smi -L                                 one line for each GPU
    nvidia-smi -q                                 everything about each GPU
    nvidia-smi --query-gpu=FIELD,... --format=csv[,noheader][,nounits]
    -i INDEX|UUID                                 only this GPU

    Fields: ";

/// The requested output.
enum Question {
    Table,
    List,
    Everything,
    Fields { names: Vec<String>, header: bool, units: bool },
    Help,
}

/// Why there is no answer: the text for people, and the number that the program ends with.
struct Refusal {
    text: String,
    code: u8,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let text = format!("NVIDIA-SMI STAND-IN has failed: {} ({})\n", failure.text, failure.code);
        Self { text, code: u8::try_from(failure.code).unwrap_or(u8::MAX) }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (text, code) = match answer(&arguments) {
        Ok(text) => (text, 0),
        Err(refusal) => (refusal.text, refusal.code),
    };
    // Nothing is lost when the reader has gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}

fn answer(arguments: &[String]) -> Result<String, Refusal> {
    let (question, only) = question(arguments)?;
    if let Question::Help = question {
        return Ok(format!("{HELP}{}\n", show::FIELDS.map(|(name, _)| name).join(", ")));
    }
    let nvml = Nvml::load().map_err(|why| Refusal {
        text: format!("NVIDIA-SMI STAND-IN couldn't find libnvidia-ml.so library in your system: {why}\n"),
        code: LIBRARY_NOT_FOUND,
    })?;
    let mut gpus = nvml.gpus()?;
    if let Some(only) = only {
        gpus.retain(|gpu| gpu.index.to_string() == only || gpu.uuid == only);
    }
    if gpus.is_empty() {
        return Err(Refusal { text: "No devices were found\n".to_owned(), code: NOT_FOUND });
    }
    let system = nvml.system()?;
    Ok(match question {
        Question::List => show::list(&gpus),
        Question::Everything => show::everything(&system, &gpus),
        Question::Fields { names, header, units } => {
            show::fields(&system, &gpus, &names, header, units).map_err(invalid)?
        }
        Question::Table | Question::Help => show::table(&system, &gpus),
    })
}

fn invalid(text: String) -> Refusal {
    Refusal { text: format!("{text}\n\nPlease run 'nvidia-smi -h' for help.\n"), code: INVALID_ARGUMENT }
}

/// The output that the arguments request, and the only GPU that they name, if any.
fn question(arguments: &[String]) -> Result<(Question, Option<String>), Refusal> {
    let mut question = Question::Table;
    let mut only = None;
    let mut query: Option<Vec<String>> = None;
    let mut format: Option<Vec<String>> = None;
    let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.split_once('=').map_or((argument.as_str(), None), |(key, value)| (key, Some(value))) {
            ("-h" | "--help", None) => question = Question::Help,
            ("-L" | "--list-gpus", None) => question = Question::List,
            ("-q" | "--query", None) => question = Question::Everything,
            ("-i", None) => only = rest.next().cloned(),
            ("--id", Some(id)) => only = Some(id.to_owned()),
            ("--query-gpu", Some(names)) => query = Some(words(names)),
            ("--format", Some(options)) => format = Some(words(options)),
            _ => return Err(invalid(format!("Invalid combination of input arguments: {argument}"))),
        }
    }
    match (query, format) {
        (None, None) => Ok((question, only)),
        (Some(names), Some(format)) if format.iter().any(|word| word == "csv") => {
            let has = |option: &str| format.iter().any(|word| word == option);
            Ok((Question::Fields { names, header: !has("noheader"), units: !has("nounits") }, only))
        }
        _ => Err(invalid("\"--query-gpu\" and \"--format=csv\" need each other".to_owned())),
    }
}
