//! Reads the sources of a crate, module by module.

use std::fs;
use std::path::{Path, PathBuf};

use syn::Item;

use crate::attributes::{is_left_out, is_marked};

/// A source file of the core, and the path of its module.
pub(crate) struct Module {
    pub(crate) path: String,
    pub(crate) items: Vec<Item>,
    /// The documentation hides it. Only what other modules re-export is shown of it.
    pub(crate) hidden: bool,
}

/// Reads the module in `file`, and the modules that it declares in files of their own.
pub(crate) fn read(path: &str, hidden: bool, file: &Path, modules: &mut Vec<Module>) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    add(path, hidden, file, parsed.items, modules);
}

fn add(path: &str, hidden: bool, file: &Path, mut items: Vec<Item>, modules: &mut Vec<Module>) {
    let at = modules.len();
    modules.push(Module { path: path.to_owned(), items: Vec::new(), hidden });
    for item in &mut items {
        let Item::Mod(module) = item else { continue };
        if is_marked(&module.attrs, "#[cfg(test)]") {
            continue;
        }
        let hidden = hidden || is_left_out(&module.attrs);
        let below = format!("{path}::{}", module.ident);
        match module.content.take() {
            Some((_, inside)) => add(&below, hidden, file, inside, modules),
            None => read(&below, hidden, &file_of(file, &module.ident.to_string()), modules),
        }
    }
    if let Some(module) = modules.get_mut(at) {
        module.items = items;
    }
}

/// Returns the file of the module `name` that is declared in `parent`.
fn file_of(parent: &Path, name: &str) -> PathBuf {
    let stem = parent.file_stem().and_then(|stem| stem.to_str()).expect("a file name");
    let folder = match stem {
        "lib" | "mod" => parent.with_file_name(""),
        other => parent.with_file_name(other),
    };
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() { flat } else { folder.join(name).join("mod.rs") }
}
