//! Takes from an item what a caller does not see.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::{Field, Fields, ImplItem, Item, ItemImpl, TraitItem, Type, parse_quote};

use crate::attributes::{is_left_out, is_public, keep_noticed};
use crate::names::Names;

fn keep_public_fields(fields: &mut Fields) {
    let strip = |field: &mut Field| keep_noticed(&mut field.attrs);
    match fields {
        Fields::Named(fields) => {
            let whole = fields.named.len();
            fields.named =
                std::mem::take(&mut fields.named).into_iter().filter(|f| is_public(&f.vis)).collect();
            fields.named.iter_mut().for_each(strip);
            if fields.named.len() < whole {
                fields.named.push(parse_quote!(private_fields: _));
            }
        }
        Fields::Unnamed(fields) => {
            for field in &mut fields.unnamed {
                strip(field);
                if !is_public(&field.vis) {
                    field.ty = parse_quote!(_);
                }
            }
        }
        Fields::Unit => {}
    }
}

/// Takes documentation out of a macro's tokens.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let inside = without_docs(group.stream());
                let is_doc = group.delimiter() == Delimiter::Bracket
                    && matches!(inside.clone().into_iter().next(), Some(TokenTree::Ident(name)) if name == "doc");
                if is_doc && matches!(kept.last(), Some(TokenTree::Punct(mark)) if mark.as_char() == '#') {
                    kept.pop();
                    continue;
                }
                kept.push(Group::new(group.delimiter(), inside).into());
            }
            token @ (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => kept.push(token),
        }
    }
    kept.into_iter().collect()
}

/// Returns what a caller sees of `implementation`, if anything.
fn shown_impl(mut implementation: ItemImpl, names: &Names) -> Option<ItemImpl> {
    let path = match &*implementation.self_ty {
        Type::Path(path) => Some(&path.path),
        _ => None,
    };
    if !names.reaches(path) {
        return None;
    }
    keep_noticed(&mut implementation.attrs);
    let of_trait = match &implementation.trait_ {
        Some((path, _)) if !names.reaches(Some(path)) => return None,
        Some(_) => true,
        None => false,
    };
    implementation.items.retain_mut(|item| match item {
        ImplItem::Fn(function) => {
            let shown = !of_trait && is_public(&function.vis) && !is_left_out(&function.attrs);
            keep_noticed(&mut function.attrs);
            function.block = parse_quote!({});
            shown
        }
        ImplItem::Const(constant) => {
            let shown = !of_trait && is_public(&constant.vis) && !is_left_out(&constant.attrs);
            keep_noticed(&mut constant.attrs);
            constant.expr = parse_quote!(_);
            shown
        }
        ImplItem::Type(_) => of_trait,
        _ => false,
    });
    (of_trait || !implementation.items.is_empty()).then_some(implementation)
}

/// Returns what a caller sees of `item`, if anything.
pub(crate) fn shown(item: Item, names: &Names) -> Option<Item> {
    macro_rules! public {
        ($item:ident) => {{
            if !is_public(&$item.vis) || is_left_out(&$item.attrs) {
                return None;
            }
            keep_noticed(&mut $item.attrs);
        }};
    }
    Some(match item {
        Item::Use(mut item) => {
            public!(item);
            Item::Use(item)
        }
        Item::Mod(mut item) => {
            public!(item);
            item.content = None;
            item.semi = Some(Default::default());
            Item::Mod(item)
        }
        Item::Struct(mut item) => {
            public!(item);
            keep_public_fields(&mut item.fields);
            Item::Struct(item)
        }
        Item::Enum(mut item) => {
            public!(item);
            for variant in &mut item.variants {
                keep_noticed(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| keep_noticed(&mut field.attrs));
            }
            Item::Enum(item)
        }
        Item::Trait(mut item) => {
            public!(item);
            for inner in &mut item.items {
                match inner {
                    TraitItem::Fn(function) => {
                        keep_noticed(&mut function.attrs);
                        function.default = function.default.as_ref().map(|_| parse_quote!({}));
                    }
                    TraitItem::Const(constant) => keep_noticed(&mut constant.attrs),
                    TraitItem::Type(kind) => keep_noticed(&mut kind.attrs),
                    _ => {}
                }
            }
            Item::Trait(item)
        }
        Item::Fn(mut item) => {
            public!(item);
            item.block = parse_quote!({});
            Item::Fn(item)
        }
        Item::Const(mut item) => {
            public!(item);
            item.expr = parse_quote!(_);
            Item::Const(item)
        }
        Item::Static(mut item) => {
            public!(item);
            item.expr = parse_quote!(_);
            Item::Static(item)
        }
        Item::Type(mut item) => {
            public!(item);
            Item::Type(item)
        }
        // What a macro makes is not known here: its text stands for it.
        Item::Macro(mut item) => {
            let called = item.mac.path.segments.last().map(|last| last.ident.to_string());
            let name = item.ident.as_ref().map(ToString::to_string).or(called);
            if is_left_out(&item.attrs) || name.is_none_or(|name| !names.makers.contains(&name)) {
                return None;
            }
            keep_noticed(&mut item.attrs);
            item.mac.tokens = without_docs(item.mac.tokens);
            Item::Macro(item)
        }
        Item::Impl(item) => {
            if is_left_out(&item.attrs) {
                return None;
            }
            Item::Impl(shown_impl(item, names)?)
        }
        _ => return None,
    })
}
