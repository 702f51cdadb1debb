//! The limit that a scope meets, as a detail of an answer.

use alloc::format;
use alloc::string::ToString;

use crate::http::detail::Detail;
use crate::policy::scope_limit::ScopeLimit;
use crate::records::scope::{Scope, ScopeError};

/// Returns the rule that a malformed scope breaks.
pub(crate) fn malformed_scope(error: ScopeError) -> Detail {
    Detail::new(error.to_string(), format!("最多 {} 个名称,以单个空格分隔", Scope::MAX_TOKENS))
}

/// Returns which part of a scope cannot be granted, and whose limit that is.
pub(crate) fn scope_detail(limit: &ScopeLimit) -> Detail {
    let admin = Scope::ADMIN;
    let chinese = match limit {
        ScopeLimit::Reserved { scope } => {
            format!("{scope} 仅供客户端使用,票据不授予 ticket:* 或 gatepass:*")
        }
        ScopeLimit::Client { scope, client } => format!("{scope} 不在客户端 {client} 的 scope 内"),
        ScopeLimit::ClientWithoutRole { client } => format!("{admin} 需要管理角色,而客户端 {client} 没有"),
        ScopeLimit::UserWithoutRole => format!("{admin} 需要管理角色,而该用户没有"),
        ScopeLimit::SignedInByClient { client } => {
            format!("{admin} 仅授予自行登录的用户,不授予经客户端 {client} 登录的用户")
        }
        ScopeLimit::SignIn { scope } => format!("{scope} 不在用户登录的 scope 内"),
        ScopeLimit::Session { scope } => format!("{scope} 不在会话的 scope 内"),
    };
    Detail::new(limit.to_string(), chinese)
}
