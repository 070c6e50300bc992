//! Which file of a crate names which: read from the paths in the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file as its module's path within the crate: `apply::batch`. The crate's root is empty.
pub(crate) type Module = Vec<String>;

/// Which modules each module of a crate names, its own parents aside: a module and its parts are one thing to others, so
/// what names the module depends on its parts, too.
pub(crate) fn imports(sources: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let files = modules(sources);
    let names = |(module, file): (&Module, &PathBuf)| {
        let text = std::fs::read_to_string(file).unwrap();
        let tested = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let paths = paths(&tokens(&text[..tested]));
        let named = paths.iter().filter_map(|path| {
            let path = absolute(module, path);
            let lengths = (0..=path.len()).rev();
            lengths.map(|length| path[..length].to_vec()).find(|prefix| files.contains_key(prefix))
        });
        (module.clone(), named.filter(|named| !module.starts_with(named)).collect())
    };
    files.iter().map(names).collect()
}

/// Groups of modules that name each other in a circle.
pub(crate) fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<BTreeSet<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        imports.keys().map(|module| (module, reached_from(module, imports))).collect();
    let mutual = |module: &&Module| {
        let others = reached[module].iter().filter(|other| reached[*other].contains(module));
        others.map(|other| (*other).clone()).collect::<BTreeSet<_>>()
    };
    imports.keys().map(|module| mutual(&module)).filter(|circle| !circle.is_empty()).collect()
}

fn reached_from<'a>(module: &'a Module, imports: &'a BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&'a Module> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        next.extend(imports[module].iter().filter(|named| reached.insert(*named)));
    }
    reached
}

fn modules(sources: &Path) -> BTreeMap<Module, PathBuf> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![sources.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(sources).unwrap().with_extension("");
                let module: Module = name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                match module.join("::").as_str() {
                    "main" => None,
                    "lib" => found.insert(Vec::new(), path),
                    _ => found.insert(module, path),
                };
            }
        }
    }
    found
}

/// A path as seen from the crate's root.
fn absolute(module: &[String], path: &[String]) -> Module {
    match path.split_first() {
        Some((first, rest)) if first == "crate" => rest.to_vec(),
        Some((first, rest)) if first == "self" => [module, rest].concat(),
        Some((first, rest)) if first == "super" => match module.split_last() {
            Some((_, parent)) if rest.first().is_some_and(|next| next == "super") => absolute(parent, rest),
            Some((_, parent)) => [parent, rest].concat(),
            None => Vec::new(),
        },
        _ => [module, path].concat(),
    }
}

/// Words, `::` and single signs; without comments and texts.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw_text(rest) {
            raw
        } else if first == '"' {
            end_of_text(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            // A quoted quotation mark begins no text.
            if rest.starts_with("'\"'") { 3 } else { first.len_utf8() }
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long a raw text is, if one begins here.
fn raw_text(text: &str) -> Option<usize> {
    let begin = text.strip_prefix('r')?;
    let marks = begin.bytes().take_while(|next| *next == b'#').count();
    begin[marks..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(marks));
    let begin = 2 + marks;
    text[begin..].find(&end).map(|at| begin + at + end.len())
}

fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every path, those of `use` with each of their ends.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at] == "use" {
            at = tree(tokens, at + 1, &[], &mut paths);
        } else if tokens.get(at + 1).is_some_and(|next| next == "::") && (at == 0 || tokens[at - 1] != "::") {
            let mut path = vec![tokens[at].clone()];
            while tokens.get(at + 1).is_some_and(|next| next == "::") && at + 2 < tokens.len() {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            paths.push(path);
            at += 1;
        } else {
            at += 1;
        }
    }
    paths
}

/// Reads one branch of a `use`, and where it ends.
fn tree(tokens: &[String], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| !matches!(token.as_str(), "}" | ";")) {
                    at = tree(tokens, at, &path, paths);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            "," | ";" | "}" => break,
            "as" => at += 2,
            word => {
                path.push(word.to_owned());
                at += 1;
            }
        }
    }
    paths.push(path);
    at
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let text = r#"
        use crate::a::{self, b::{C, D as E}, f};
        // use x::y;
        fn g() -> super::h::I { j::k("l::m", '"', n::o, r"use {") }
    "#;
    let read: BTreeSet<String> = paths(&tokens(text)).iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::self", "crate::a::b::C", "crate::a::b::D", "crate::a::f", "super::h::I", "j::k", "n::o"];
    assert_eq!(read, expected.map(str::to_owned).into());
}

#[test]
fn a_circle_is_found_by_its_modules() {
    let module = |name: &str| vec![name.to_owned()];
    let edges = [("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")];
    let mut imports: BTreeMap<Module, BTreeSet<Module>> =
        ["a", "b", "c", "d"].map(|name| (module(name), BTreeSet::new())).into();
    for (from, to) in edges {
        imports.get_mut(&module(from)).unwrap().insert(module(to));
    }
    assert_eq!(circles(&imports), [[module("b"), module("c")].into()].into());
}
