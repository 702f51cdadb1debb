//! The names that the core declares, and which of them a caller sees.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Item, Type, UseTree};

use crate::attributes::{is_left_out, is_public};
use crate::sources::Module;

/// Names that are declared in the core.
#[derive(Default)]
pub(crate) struct Names {
    /// Types and traits.
    all: BTreeSet<String>,
    /// Those of them that a caller sees.
    public: BTreeSet<String>,
    /// The names in a public `use`.
    exported: BTreeSet<String>,
    /// The macros that make public items.
    pub(crate) makers: BTreeSet<String>,
}

impl Names {
    pub(crate) fn of(modules: &[Module]) -> Self {
        let mut names = Self::default();
        for item in modules.iter().filter(|module| !module.hidden).flat_map(|module| &module.items) {
            match item {
                Item::Use(item) if is_public(&item.vis) && !is_left_out(&item.attrs) => {
                    names.export(&item.tree);
                }
                _ => {}
            }
        }
        for module in modules {
            for item in &module.items {
                names.declare(item, module.hidden);
            }
        }
        names
    }

    fn export(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.export(&path.tree),
            UseTree::Name(name) => drop(self.exported.insert(name.ident.to_string())),
            UseTree::Rename(name) => drop(self.exported.insert(name.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.export(tree)),
            _ => {}
        }
    }

    fn declare(&mut self, item: &Item, hidden: bool) {
        let (name, visibility, attributes) = match item {
            Item::Struct(item) => (&item.ident, &item.vis, &item.attrs),
            Item::Enum(item) => (&item.ident, &item.vis, &item.attrs),
            Item::Trait(item) => (&item.ident, &item.vis, &item.attrs),
            Item::Type(item) => (&item.ident, &item.vis, &item.attrs),
            Item::Macro(item) => {
                let makes = item.ident.as_ref().filter(|_| makes_public(&item.mac.tokens));
                self.makers.extend(makes.map(ToString::to_string));
                return;
            }
            _ => return,
        };
        let name = name.to_string();
        if is_public(visibility) && !is_left_out(attributes) && (!hidden || self.exported.contains(&name)) {
            self.public.insert(name.clone());
        }
        self.all.insert(name);
    }

    /// Returns true for names from elsewhere, and for names of the core that a caller sees.
    pub(crate) fn reaches(&self, path: Option<&syn::Path>) -> bool {
        let last = path.and_then(|path| path.segments.last()).map(|segment| segment.ident.to_string());
        last.is_none_or(|name| self.public.contains(&name) || !self.all.contains(&name))
    }

    /// Returns true where a caller sees `item` although its module is hidden.
    pub(crate) fn exports(&self, item: &Item) -> bool {
        match item {
            Item::Struct(item) => self.exported.contains(&item.ident.to_string()),
            Item::Enum(item) => self.exported.contains(&item.ident.to_string()),
            Item::Trait(item) => self.exported.contains(&item.ident.to_string()),
            Item::Type(item) => self.exported.contains(&item.ident.to_string()),
            Item::Fn(item) => self.exported.contains(&item.sig.ident.to_string()),
            Item::Const(item) => self.exported.contains(&item.ident.to_string()),
            Item::Macro(item) => item.ident.is_some() || self.mentions(&item.mac.tokens),
            Item::Impl(item) => match &*item.self_ty {
                Type::Path(path) => {
                    let last = path.path.segments.last();
                    last.is_some_and(|last| self.public.contains(&last.ident.to_string()))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn mentions(&self, tokens: &TokenStream) -> bool {
        tokens
            .clone()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Ident(name) if self.exported.contains(&name.to_string())))
    }
}

/// Returns true where `pub` stands without a restriction behind it.
fn makes_public(tokens: &TokenStream) -> bool {
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        let found = match token {
            TokenTree::Group(group) => makes_public(&group.stream()),
            TokenTree::Ident(name) => {
                let restricted = matches!(tokens.peek(), Some(TokenTree::Group(group))
                    if group.delimiter() == Delimiter::Parenthesis);
                name == "pub" && !restricted
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        };
        if found {
            return true;
        }
    }
    false
}
