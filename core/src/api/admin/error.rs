//! The errors of operations as they are answered.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

use crate::admin::import::MAX_LINES;
use crate::admin::{AdminError, Field, Invalid, Item, Obstacle};
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::records::identifier::IdentifierKind;
use crate::records::role::{Role, Roles};

/// Returns the refusal of a caller who has none of `roles`.
pub(super) fn role_missing(roles: Roles) -> RequestError {
    let names = |or: &str| roles.iter().map(Role::as_str).map(String::from).reduce(|a, b| a + or + &b);
    Problem::RoleMissing.with(Detail::new(
        format!("it takes the role {}", names(" or ").unwrap_or_default()),
        format!("需要角色 {}", names(" 或 ").unwrap_or_default()),
    ))
}

impl From<AdminError> for RequestError {
    /// Returns the answer to an operation that failed.
    fn from(error: AdminError) -> Self {
        let detail = |chinese: String| Detail::new(error.to_string(), chinese);
        match &error {
            AdminError::Unknown | AdminError::Internal => Problem::Internal.into(),
            AdminError::Conflict
            | AdminError::NotApplied
            | AdminError::Unreadable
            | AdminError::KeyNotMade
            | AdminError::NoMemory
            | AdminError::Overloaded => Problem::Unavailable.into(),
            AdminError::NotFound(item) => Problem::NoSuchRecord.with(detail(format!("没有此{}", noun(item)))),
            AdminError::AlreadyExists(item) => {
                Problem::AlreadyExists.with(detail(format!("已存在此{}", noun(item)))).about(member_of(item))
            }
            AdminError::Ambiguous { .. } => Problem::NoSuchRecord.with(detail("该标识对应多个用户".into())),
            AdminError::IdentifierTaken { kind, owner, .. } => {
                let taken = detail(format!("该标识已属于用户 {}", owner.user));
                Problem::AlreadyExists.with(taken).about(identifier(*kind))
            }
            AdminError::Invalid { field, reason } => {
                Problem::InvalidValue.with(detail(rule(reason))).about(member(*field))
            }
            AdminError::Refused(obstacle @ Obstacle::OtherRevision) => {
                Problem::RecordRefuses.with(detail(why_not(*obstacle))).about("revision")
            }
            AdminError::Refused(obstacle @ Obstacle::RolesOfClients) => {
                Problem::RecordRefuses.with(detail(why_not(*obstacle))).about("roles")
            }
            AdminError::Refused(obstacle) => Problem::RecordRefuses.with(detail(why_not(*obstacle))),
            AdminError::Import(errors) => {
                let lines: BTreeSet<u64> = errors.errors.iter().map(|error| error.line).collect();
                let lines = lines.iter().map(u64::to_string).reduce(|a, b| a + "、" + &b);
                let lines = detail(format!("这些行有误: {}", lines.unwrap_or_default()));
                Problem::InvalidValue.with(lines)
            }
            AdminError::TooManyLines => {
                Problem::InvalidValue.with(detail(format!("最多导入 {MAX_LINES} 行")))
            }
            AdminError::NotIssued(_) => Problem::RecordRefuses.with(detail("无法签发票据".into())),
        }
    }
}

const fn noun(item: &Item) -> &'static str {
    match item {
        Item::Client(_) => "客户端",
        Item::User(_) => "用户",
        Item::Key(_) => "密钥",
        Item::Ticket(_) => "票据",
        Item::Session(_) => "会话",
        Item::Secret(_) => "客户端密钥",
    }
}

/// Returns the member that names an item.
const fn member_of(item: &Item) -> &'static str {
    match item {
        Item::Client(_) => "client_id",
        Item::User(_) => "username",
        Item::Key(_) => "kid",
        Item::Ticket(_) | Item::Session(_) | Item::Secret(_) => "id",
    }
}

/// Returns the member that an identifier is of.
const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Username => "username",
        IdentifierKind::Email => "email",
        IdentifierKind::Phone => "phone",
    }
}

/// Returns the member that a field is of.
const fn member(field: Field) -> &'static str {
    match field {
        Field::Name => "name",
        Field::Email => "email",
        Field::Phone => "phone",
        Field::Address => "address",
        Field::Password => "password",
        Field::DeviceName => "device_name",
        Field::ClientId => "client_id",
        Field::Scope => "scope",
        Field::DefaultScope => "default_scope",
        Field::Audience => "audiences",
        Field::TokenLifetime => "token_lifetime",
        Field::UserTokenLifetime => "user_token_lifetime",
        Field::SigningAlgorithm => "signing_algorithm",
        Field::Secret => "secret",
        Field::Actor => "actor",
        Field::Roles => "roles",
        Field::Keys => "keys",
    }
}

fn rule(reason: &Invalid) -> String {
    match reason {
        Invalid::NotPlain { longest } => format!("最多 {longest} 个字符,不含控制字符"),
        Invalid::NotOneWord { longest } => format!("须为 1 到 {longest} 个字符,不含空白"),
        Invalid::Hidden(character) => format!("不得包含不可见字符(U+{:04X})", u32::from(*character)),
        Invalid::IsTheUser => "不得与用户相同".into(),
        Invalid::LikeUserId => "不得以用户标识的前缀开头".into(),
        Invalid::NoAtSign => "须包含 @".into(),
        Invalid::TooLarge { bytes, depth } => format!("最多 {bytes} 字节的 JSON,嵌套不超过 {depth} 层"),
        Invalid::TooMany { most } => format!("最多 {most} 个"),
        Invalid::OutOfRange { most } => format!("须为 1 到 {most} 之间的整数"),
        Invalid::TooShort { least } => format!("至少 {least} 个字符"),
        Invalid::NotOneLine => "须为一行,不含控制字符".into(),
        Invalid::NoKeySigns(algorithm) => format!("没有 {algorithm} 密钥在签名"),
        Invalid::NotSeparate => "不得同时拥有多个角色,除非 separate_roles 为 false".into(),
        Invalid::Reserved => "该名称保留给本服务".into(),
        Invalid::Keys(error) => format!("不是可用的公钥 JWK 集({error})"),
        Invalid::NotWithinScope { .. } => "默认范围须在 scope 之内".into(),
        Invalid::Unfit { least, .. } => format!("密码不合要求(至少 {least} 个字符,且不常见)"),
    }
}

fn why_not(obstacle: Obstacle) -> String {
    let why = match obstacle {
        Obstacle::KeyIsChosen(algorithm) => return format!("该密钥为选择 {algorithm} 的客户端签名"),
        Obstacle::KeyIsNew { from } => return format!("在 {from} 之前,公钥集的副本可能尚未包含该密钥"),
        Obstacle::KeyVerifies { until } => return format!("该密钥签名的令牌最迟到 {until} 仍可能有效"),
        Obstacle::NoPassword => "该用户没有密码",
        Obstacle::TooManyDevices => "该用户的设备数量已达上限",
        Obstacle::NoDeviceWaits => "该用户没有等待首个验证码的设备",
        Obstacle::WrongCode => "验证码错误",
        Obstacle::AlreadyEnded => "此前已结束",
        Obstacle::KeySignsBeside => "该密钥正与默认密钥一同签名,须先停止签名",
        Obstacle::KeySigns => "该密钥是正在签名的默认密钥",
        Obstacle::TooManySecrets => "该客户端的密钥数量已达上限",
        Obstacle::TooManyKeys => "该客户端的公钥数量已达上限",
        Obstacle::OtherRevision => "该记录已被更改,修订号不同",
        Obstacle::OwnRoles => "不得更改自己的角色",
        Obstacle::RolesOfClients => "客户端的角色只能在服务器本机以命令更改",
        Obstacle::NothingToArchive => "没有尚未归档的审计记录",
        Obstacle::ArchivedMeanwhile => "其间已有他人归档审计记录,或您的账户已被更改: 未归档任何记录",
        Obstacle::AuditBroken => "审计链不完整: 请验证审计日志",
        Obstacle::LastOfficer => "没有其他可用的安全管理员:请先指定另一位,或在服务器本机以命令更改",
    };
    why.into()
}
