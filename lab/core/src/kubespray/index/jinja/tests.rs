use rstest::rstest;

use super::*;

fn names(uses: &Uses) -> Vec<&str> {
    uses.names.keys().map(String::as_str).collect()
}

#[rstest]
#[case::plain("{{ kube_version }}", &["kube_version"])]
#[case::filter("{{ a | default(b, true) | bool }}", &["a", "b"])]
#[case::ansible_filter("{{ subnet | ansible.utils.ipaddr('net') }}", &["subnet"])]
#[case::format("{{ '%s=%s' % (key, value) }}", &["key", "value"])]
#[case::lazy("{{ a if b is defined and b is not none else c }}", &["a", "b", "c"])]
#[case::slice("{{ (kube_version | split('.'))[:-1] | join('.') }}", &["kube_version"])]
#[case::slice_of_a_name("{{ hosts[1:count] }}", &["count", "hosts"])]
#[case::loop_names("{% for host in groups['etcd'] if wanted %}{{ host }}{{ loop.index }}{% endfor %}{{ host }}", &["groups", "host", "wanted"])]
#[case::two_targets("{% for key, value in some_map.items() %}{{ key }}{{ value }}{% endfor %}", &["some_map"])]
#[case::tuple("{% for x in 'a', b %}{{ x }}{{ c, d }}{% endfor %}", &["b", "c", "d"])]
#[case::set("{% set x = y %}{{ x }}", &["y"])]
#[case::set_block("{% set x %}{{ y }}{% endset %}{{ x }}", &["y"])]
#[case::change("{% set x = [] %}{% for a in b %}{% do x.append(y) %}{% if z %}{% break %}{% endif %}{% endfor %}", &["b", "y", "z"])]
#[case::namespaced("{% set ns = namespace(n=0) %}{% set ns.n = other %}", &["namespace", "other"])]
#[case::macro_names("{% macro m(a, b=c) %}{{ a }}{{ b }}{{ d }}{% endmacro %}{{ m(e) }}", &["c", "d", "e"])]
#[case::raw("{% raw %}{{ not_me }}{% endraw %}{# {{ nor_me }} #}", &[])]
#[case::hostvars("{{ hostvars[host]['access_ip'] | default(hostvars[host].main_ip) }}", &["access_ip", "host", "hostvars", "main_ip"])]
#[case::hostvars_get("{{ hostvars[host].get('etcd_name') }}", &["etcd_name", "host", "hostvars"])]
#[case::looked_up("{{ lookup('vars', 'bin_dir') }}", &["bin_dir", "lookup"])]
#[case::looked_up_later("{{ lookup('vars', scope + '_reserved') }}", &["lookup", "scope"])]
#[case::escapes(r"{{ a | regex_replace('^(\\S+)\.x$', '\1\2') }}", &["a"])]
fn template_uses_names_that_it_does_not_set(#[case] text: &str, #[case] expected: &[&str]) {
    let uses = template(text);
    assert_eq!(uses.refused, None);
    assert_eq!(names(&uses), expected);
}

#[rstest]
#[case::member("kube_proxy.stdout is version(minimum, '>=')", &["kube_proxy", "minimum"])]
#[case::test("x is not divisibleby 2", &["x"])]
#[case::comparison("not a and (b in ['x'] or c == 'd')", &["a", "b", "c"])]
#[case::arithmetic("2 ** (32 - prefix | int) - 2 >= nodes | length", &["nodes", "prefix"])]
fn expression_uses_its_names(#[case] text: &str, #[case] expected: &[&str]) {
    let uses = expression(text);
    assert_eq!(uses.refused, None);
    assert_eq!(names(&uses), expected);
}

#[test]
fn names_have_the_line_of_their_first_use() {
    let uses = template("first {{ a }}\n{{ b\n  + c }}\n{{ a }}\n");
    assert_eq!(uses.names, BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 1), ("c".to_owned(), 2)]));
}

#[test]
fn groups_are_found_in_every_spelling() {
    let uses = expression(
        "groups['etcd'] and groups.get('calico_rr') and groups.kube_node and 'bastion' in group_names \
         and app.groups.unknown",
    );
    assert_eq!(uses.groups, ["etcd", "calico_rr", "kube_node", "bastion"]);
}

#[test]
fn table_of_versions_names_its_variable() {
    let uses = template(
        "{{ kubelet_checksums[image_arch][kube_version] }}{{ crds_checksums.no_arch[calico_version] }}",
    );
    let lookup = |table: &str, name: &str| (table.to_owned(), name.to_owned());
    assert_eq!(
        uses.lookups,
        [lookup("kubelet_checksums", "kube_version"), lookup("crds_checksums", "calico_version")]
    );
}

#[rstest]
#[case::text("{{ a ??? b['c'] | d(e=f) is not g }}\n{% for h in i %}{{ h }}{% endfor %}", &[("a", 0), ("b", 0), ("f", 0), ("i", 1)])]
#[case::unclosed("x {{ a", &[("a", 0)])]
#[case::quote("{{ 'a\n' ~ ~ b }}", &[("b", 1)])]
fn refused_jinja_is_read_word_by_word(#[case] text: &str, #[case] expected: &[(&str, u32)]) {
    let uses = template(text);
    assert!(uses.refused.is_some());
    let found: Vec<(&str, u32)> = uses.names.iter().map(|(name, line)| (name.as_str(), *line)).collect();
    assert_eq!(found, expected);
}

#[test]
fn assertions_are_understood() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(one_of("a in ['x', 'y']"), Some(("a".to_owned(), words(&["x", "y"]))));
    assert_eq!(one_of("a in ['x'] or b"), None);
    assert_eq!(one_of("a not in ['x']"), None);
    assert_eq!(asserted_boolean("a | type_debug == 'bool'"), Some("a".to_owned()));
    assert_eq!(asserted_boolean("a | type_debug == 'list'"), None);
    assert_eq!(only_variable("{{ a }}"), Some("a".to_owned()));
    assert_eq!(only_variable("v{{ a }}"), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[{}%#a-z_ '\"\\\\|.=\\[\\](),~?\n-]{0,60}") {
        let _ = template(&text);
        let _ = expression(&text);
    }
}
