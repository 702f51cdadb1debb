//! The one table of business codes: what `SimpleResponse` can say (docs/http-api.md), with its HTTP status and
//! its message in English and Chinese.

use alloc::borrow::Cow;
use alloc::format;

use serde::Serialize;

use crate::base::time::Time;
use crate::http::language::Language;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::answer;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $english:literal, $chinese:literal;)+) => {
        /// Everything that can be wrong with a request, as `SimpleResponse` names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Problem {
            $($(#[$doc])* #[doc = concat!("\n\nCode ", $code, ", HTTP status ", $status, ".")] $name,)+
        }

        impl Problem {
            /// Every problem, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable business code: the HTTP status, then two digits.
            pub const fn code(self) -> u32 {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Returns the message for a person.
            pub const fn message(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::English) => $english, (Self::$name, Language::Chinese) => $chinese,)+
                }
            }
        }
    };
}

problems! {
    /// The bytes are not HTTP as RFC 9112 has it.
    BadHttp = 40000, 400, "the request is not valid HTTP", "请求不是有效的 HTTP 报文";
    /// The body is not one JSON object of the expected shape.
    BadJson = 40001, 400, "the body is not the expected JSON object", "请求体不是预期的 JSON 对象";
    /// A header that may come once came twice, or is not text.
    BadHeader = 40002, 400, "a header is repeated or malformed", "请求头重复或格式错误";
    /// The `Idempotency-Key` header is repeated, or is no key.
    BadIdempotencyKey = 40003, 400, "Idempotency-Key must come once, 22 to 128 visible ASCII characters without quotes or backslashes inside", "Idempotency-Key 只能出现一次,须为 22 到 128 个可见 ASCII 字符,其中不含引号和反斜杠";
    /// The query has a parameter that is malformed, repeated, or out of bounds.
    BadQuery = 40004, 400, "the query is not as expected", "查询参数不符合预期";
    /// `user_agent` has a control character.
    BadUserAgent = 40006, 400, "user_agent must be text without control characters", "user_agent 不得包含控制字符";
    /// `device_id` is not one that the `X-Device-Id` header could carry.
    BadDeviceId = 40007, 400, "device_id must be at most 256 visible ASCII characters", "device_id 须为最多 256 个可见 ASCII 字符";
    /// No such ticket, or expired, or used: never told apart.
    TicketRefused = 40010, 400, "the ticket is invalid, expired or already used", "票据无效、已过期或已使用";
    /// The subject of a ticket is unknown or disabled.
    UserRefused = 40011, 400, "the user does not exist or is disabled", "用户不存在或已停用";
    /// A ticket's life is outside 1–3600 seconds.
    BadTtl = 40012, 400, "ttl must be a whole number of seconds from 1 to 3600", "ttl 必须是 1 到 3600 之间的整数秒";
    /// A ticket's audience is not an enabled client.
    AudienceRefused = 40013, 400, "audience must name an enabled client", "audience 必须是已启用的客户端";
    /// A ticket's scope is malformed or goes beyond the issuing client's.
    ScopeRefused = 40014, 400, "scope is malformed or beyond what may be granted", "scope 格式错误或超出可授予范围";
    /// `client_ip` is not an IP address.
    BadClientIp = 40016, 400, "client_ip must be an IPv4 or IPv6 address", "client_ip 必须是 IPv4 或 IPv6 地址";
    /// `actor` is unknown, disabled or the subject itself.
    ActorRefused = 40017, 400, "the actor does not exist, is disabled or is the user itself", "代理人不存在、已停用或与用户相同";
    /// `actor` without `reason`, or `reason` without `actor`, or a reason out of bounds.
    ReasonRequired = 40018, 400, "actor and reason go together; reason is 1 to 500 characters, none of them a control character", "actor 与 reason 必须同时提供;reason 为 1 到 500 个字符,不含控制字符";
    /// `tenant_id` is not the configured tenant.
    TenantRefused = 40019, 400, "tenant_id is not the tenant served here", "tenant_id 不是本服务的租户";
    /// No such refresh token, or expired, or used, or its session is over: never told apart.
    RefreshRefused = 40020, 400, "the refresh token is invalid, expired or already used", "刷新令牌无效、已过期或已使用";
    /// No such challenge, or one that is answered, expired, withdrawn or has had its wrong codes: never told apart.
    ChallengeRefused = 40030, 400, "the challenge is invalid, expired or closed: sign in again", "验证挑战无效、已过期或已关闭,请重新登录";
    /// A wrong code, or one that was accepted before, or a device that does not wait for one.
    CodeRefused = 40031, 400, "the code is wrong or already used", "验证码错误或已使用";
    /// No more devices.
    TooManyDevices = 40032, 400, "there are as many devices as there can be: remove one first", "设备数量已达上限,请先移除设备";
    /// No such account, or no such password, or too many tries: never told apart.
    LoginRefused = 40040, 400, "the name or the password is wrong, or there were too many tries: wait, then try again", "用户名或密码错误,或尝试次数过多,请稍后再试";
    /// The old password is wrong, or there were too many tries.
    OldPasswordRefused = 40041, 400, "the old password is wrong, or there were too many tries: wait, then try again", "原密码错误,或尝试次数过多,请稍后再试";
    /// The new password has too few characters.
    PasswordTooShort = 40042, 400, "the new password is too short", "新密码过短";
    /// The new password is over 1024 bytes.
    PasswordTooLong = 40043, 400, "the new password is over 1024 bytes", "新密码过长";
    /// The new password is one of the commonest, or the account's own name.
    PasswordTooCommon = 40044, 400, "the new password is too easy to guess: choose another", "新密码过于常见,请更换";
    /// A second factor is called for, and there is none.
    FactorNotEnrolled = 40045, 400, "signing in here takes a second factor, and none is enrolled: ask an administrator", "此登录需要第二因素,但尚未注册,请联系管理员";
    /// The new password is the old one.
    PasswordUnchanged = 40046, 400, "the new password is the old one: choose another", "新密码与原密码相同,请更换";
    /// The account has no password.
    NoPassword = 40047, 400, "the account has no password: an administrator can set one", "该账户未设置密码,请联系管理员";
    /// A value breaks a rule; `field` names its member.
    InvalidValue = 40050, 400, "a value is not allowed", "取值不符合要求";
    /// No bearer token, or one that is not good.
    TokenRequired = 40100, 401, "a valid bearer token is required", "需要有效的访问令牌";
    /// The client is unknown or disabled, or its secret is wrong or was not sent.
    ClientRefused = 40101, 401, "client authentication failed", "客户端认证失败";
    /// The token is good and does not allow this.
    ScopeMissing = 40300, 403, "the token does not allow this", "令牌权限不足";
    /// An impersonated session may not issue tickets.
    ImpersonationRefused = 40301, 403, "an impersonated session cannot do this", "代登录会话不能执行此操作";
    /// Devices are added to an account with a second factor by a session that has shown it.
    SecondFactorFirst = 40302, 403, "sign in with your second factor first", "请先使用第二因素登录";
    /// The session is good for enrolling, or for changing the password, and this is something else.
    SessionRestricted = 40303, 403, "this session is good for one thing only: see its scope", "此会话仅限特定操作,请参见其 scope";
    /// `client_ip`, `user_agent` or `device_id` come from somebody who is not trusted to state them.
    ContextRefused = 40304, 403, "client_ip, user_agent and device_id are taken from an authenticated client with trusted_context alone", "仅接受已认证且启用 trusted_context 的客户端提供 client_ip、user_agent 和 device_id";
    /// The token's holder has none of the roles that the path takes.
    RoleMissing = 40305, 403, "the token's holder has not the role for this", "令牌持有者没有所需角色";
    /// No such path.
    NotFound = 40400, 404, "no such path", "路径不存在";
    /// No such session of this user.
    SessionUnknown = 40401, 404, "no such session", "会话不存在";
    /// No such device of this user.
    DeviceUnknown = 40402, 404, "no such device", "设备不存在";
    /// There is no record of this name.
    NoSuchRecord = 40403, 404, "there is no such record", "记录不存在";
    /// The path does not take this method.
    MethodNotAllowed = 40500, 405, "the path does not take this method", "该路径不支持此方法";
    /// The request took too long to arrive.
    RequestTimeout = 40800, 408, "the request took too long to arrive", "请求接收超时";
    /// Another record has the name, or the identifier.
    AlreadyExists = 40900, 409, "it exists already", "已存在";
    /// The record is in a state that does not allow it.
    RecordRefuses = 40901, 409, "the record does not allow it now", "记录当前状态不允许此操作";
    /// A body without a length.
    LengthRequired = 41100, 411, "the body needs a Content-Length", "请求体需要 Content-Length";
    /// The body is over 64 KiB.
    ContentTooLarge = 41300, 413, "the body is too large", "请求体过大";
    /// The request line is over 8 KiB.
    UriTooLong = 41400, 414, "the request line is too long", "请求行过长";
    /// The body is of another media type.
    UnsupportedMediaType = 41500, 415, "the body is not of the media type this path takes", "请求体的媒体类型不受支持";
    /// The body has a content coding.
    UnsupportedContentCoding = 41501, 415, "the body must come without a content coding", "请求体不得使用内容编码";
    /// `Expect` holds something other than `100-continue`.
    ExpectationFailed = 41700, 417, "the expectation cannot be met", "无法满足 Expect 请求头";
    /// The absolute-form target names another host.
    MisdirectedRequest = 42100, 421, "the request is meant for another host", "请求的目标主机不是本服务";
    /// Too many failures from this address.
    TooManyRequests = 42900, 429, "too many failed attempts, try again later", "失败次数过多,请稍后再试";
    /// The head is over 16 KiB or 64 fields.
    HeadTooLarge = 43100, 431, "the request headers are too large", "请求头过大";
    /// Our fault.
    Internal = 50000, 500, "internal error", "服务器内部错误";
    /// A transfer coding other than `chunked`, or a method that is not known at all.
    NotImplemented = 50100, 501, "the request asks for something not implemented", "请求的功能未实现";
    /// The store cannot commit now; nothing was changed.
    Unavailable = 50300, 503, "temporarily unavailable, nothing was changed, try again", "服务暂时不可用,未作任何更改,请重试";
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported = 50500, 505, "only HTTP/1.0 and HTTP/1.1 are served", "仅支持 HTTP/1.0 与 HTTP/1.1";
}

/// Seconds a client is asked to wait after a 503.
pub(crate) const RETRY_AFTER: &str = "1";

/// `{"code", "message", "timestamp"}` of the origin document, and `data` where there is any.
#[derive(Serialize)]
struct SimpleResponse<'a, T: Serialize> {
    code: u32,
    message: &'a str,
    timestamp: alloc::string::String,
    /// The member of the body, or the parameter, that is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

answer! {
    /// The tries that are left, for programs.
    pub(crate) struct Tries {
        /// Their number.
        tries_left: u32 = 4,
    }
}

/// Success as a `SimpleResponse`: code 0.
pub(crate) fn done(language: Language, now: Time, data: Option<impl Serialize>) -> Response {
    let message = match language {
        Language::English => "done",
        Language::Chinese => "成功",
    };
    Response::json(200, &SimpleResponse { code: 0, message, timestamp: now.rfc3339(), field: None, data })
        .uncached()
}

impl Problem {
    /// The `SimpleResponse` for this problem, in `language`, said at `now`. Never cached: where a request is refused
    /// before its path is known, it may have been one that speaks of a person or a token.
    pub fn response(self, language: Language, now: Time) -> Response {
        RequestError::from(self).response(language, now)
    }
}

impl RequestError {
    /// As [`Problem::response`], with the detail behind the message.
    pub fn response(&self, language: Language, now: Time) -> Response {
        let problem = self.problem;
        let message = match (&self.detail, language) {
            (None, _) => Cow::Borrowed(problem.message(language)),
            (Some(detail), Language::English) => {
                Cow::Owned(format!("{}: {}", problem.message(language), detail.text(language)))
            }
            (Some(detail), Language::Chinese) => {
                Cow::Owned(format!("{}:{}", problem.message(language), detail.text(language)))
            }
        };
        let (code, message) = (problem.code(), &*message);
        let body = SimpleResponse {
            code,
            message,
            timestamp: now.rfc3339(),
            field: self.field.as_deref(),
            data: self.tries_left.map(|tries_left| Tries { tries_left }),
        };
        let response = Response::json(problem.status(), &body).uncached();
        if problem == Problem::UnsupportedContentCoding {
            response.with("accept-encoding", "identity")
        } else if problem.status() == 503 {
            response.with("retry-after", RETRY_AFTER)
        } else {
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_begins_with_its_status_and_stands_once() {
        for pair in Problem::ALL.windows(2) {
            assert!(pair[0].code() < pair[1].code(), "{:?} before {:?}", pair[0], pair[1]);
        }
        for problem in Problem::ALL {
            assert_eq!(problem.code() / 100, u32::from(problem.status()), "{problem:?}");
        }
    }

    #[test]
    fn a_503_asks_to_come_back() {
        let response = Problem::Unavailable.response(Language::English, Time::from_unix(0));
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(
            response.body(),
            br#"{"code":50300,"message":"temporarily unavailable, nothing was changed, try again","timestamp":"1970-01-01T00:00:00Z"}"#
        );
    }
}
