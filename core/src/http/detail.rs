//! The part of an answer that goes on after the message of its problem: which member, header or parameter is wrong, and how. It is in
//! English and in Chinese, and never repeats a value that was sent.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use crate::base::form::{FormError, MAX_PARAMETERS};
use crate::base::json::{JsonError, JsonFault, MAX_DEPTH, MAX_VALUES};
use crate::http::language::Language;
use crate::http::request::{HeaderError, HeaderFault};

/// A detail of a problem, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    english: Cow<'static, str>,
    chinese: Cow<'static, str>,
}

impl Detail {
    /// A fixed text.
    pub(crate) const fn fixed(english: &'static str, chinese: &'static str) -> Self {
        Self { english: Cow::Borrowed(english), chinese: Cow::Borrowed(chinese) }
    }

    /// A text that names something.
    pub(crate) const fn new(english: String, chinese: String) -> Self {
        Self { english: Cow::Owned(english), chinese: Cow::Owned(chinese) }
    }

    /// Member `name` has to be there.
    pub(crate) fn missing(name: &str) -> Self {
        Self::new(format!("the member {name} is missing"), format!("缺少成员 {name}"))
    }

    /// Member `name` is no text.
    pub(crate) fn no_text(name: &str) -> Self {
        Self::new(format!("the member {name} must be a string"), format!("成员 {name} 必须是字符串"))
    }

    /// Member `name` is neither true nor false.
    pub(crate) fn no_flag(name: &str) -> Self {
        Self::new(
            format!("the member {name} must be true or false"),
            format!("成员 {name} 必须是 true 或 false"),
        )
    }

    /// Member `name` is no whole number, or none from `least` to `most`.
    pub(crate) fn no_integer(name: &str, least: Option<u64>, most: Option<u64>) -> Self {
        let (english, chinese) = match (least, most) {
            (Some(least), Some(most)) => (format!(" from {least} to {most}"), format!("({least} 到 {most})")),
            (Some(least), None) => (format!(" of at least {least}"), format!("(至少 {least})")),
            (None, Some(most)) => (format!(" of at most {most}"), format!("(至多 {most})")),
            (None, None) => Default::default(),
        };
        Self::new(
            format!("the member {name} must be a whole number{english}"),
            format!("成员 {name} 必须是整数{chinese}"),
        )
    }

    /// Member `name` is no list, or none of `least` to `most` items.
    pub(crate) fn no_list(name: &str, least: Option<u64>, most: Option<u64>) -> Self {
        let (english, chinese) = count(least, most).map_or_else(Default::default, |(english, chinese)| {
            (format!(" of {english} items"), format!("({chinese} 个元素)"))
        });
        Self::new(
            format!("the member {name} must be a list{english}"),
            format!("成员 {name} 必须是数组{chinese}"),
        )
    }

    /// Member `name` is no object.
    pub(crate) fn no_object(name: &str) -> Self {
        Self::new(format!("the member {name} must be an object"), format!("成员 {name} 必须是对象"))
    }

    /// Member `name` has a value of none of the expected types.
    pub(crate) fn unfit(name: &str) -> Self {
        Self::new(
            format!("the member {name} has a value of another type than expected"),
            format!("成员 {name} 的类型不符"),
        )
    }

    /// Member `name` is no text of `least` to `most` characters, or has a control character where it must be `plain`.
    pub(crate) fn no_such_text(name: &str, (least, most): (Option<u64>, Option<u64>), plain: bool) -> Self {
        let (english, chinese) = match (count(least, most), plain) {
            (Some((english, chinese)), true) => (
                format!("{english} characters and no control characters"),
                format!("须为 {chinese} 个字符,不含控制字符"),
            ),
            (Some((english, chinese)), false) => {
                (format!("{english} characters"), format!("须为 {chinese} 个字符"))
            }
            (None, _) => ("no control characters".into(), "不得包含控制字符".into()),
        };
        Self::new(format!("the member {name} must have {english}"), format!("成员 {name} {chinese}"))
    }

    /// Member `name` breaks a rule, which is told in English and in Chinese.
    pub(crate) fn breaks_rule(name: &str, (english, chinese): (&str, &str)) -> Self {
        Self::new(format!("the member {name} {english}"), format!("成员 {name} {chinese}"))
    }

    /// Returns the same detail, of a parameter where it says "member".
    pub(crate) fn of_parameter(self) -> Self {
        let english = self.english.strip_prefix("the member ").map(|rest| format!("the parameter {rest}"));
        let chinese = self.chinese.strip_prefix("成员 ").map(|rest| format!("参数 {rest}"));
        Self {
            english: english.map_or(self.english, Cow::Owned),
            chinese: chinese.map_or(self.chinese, Cow::Owned),
        }
    }

    /// Member `name` is none of `values`.
    pub(crate) fn none_of(name: &str, values: &[&str]) -> Self {
        Self::new(
            format!("the member {name} must be {}", values.join(" or ")),
            format!("成员 {name} 须为 {}", values.join(" 或 ")),
        )
    }

    /// Member `sent` is `meant`, misspelt. The caller made `sent` up: it is near `meant`, but may have any characters.
    pub(crate) fn misspelt(sent: &str, meant: &str) -> Self {
        let sent = sent.escape_debug();
        Self::new(
            format!("the member {sent} is unknown: it should perhaps be {meant}"),
            format!("未知成员 {sent},是否应为 {meant}"),
        )
    }

    /// The number of tries that are left.
    pub(crate) fn tries_left(left: u32) -> Self {
        let tries = if left == 1 { "try is" } else { "tries are" };
        Self::new(
            format!("{left} {tries} left before you have to sign in again"),
            format!("还可尝试 {left} 次,之后须重新登录"),
        )
    }

    /// No client's credentials are there.
    pub(crate) const fn no_basic() -> Self {
        Self::fixed("credentials are missing, send them by Basic", "缺少凭据,须以 Basic 方式提交")
    }

    /// The Basic credentials are no credentials: `english` says why.
    pub(crate) const fn bad_basic(english: &'static str) -> Self {
        Self::fixed(english, "无法读取 Basic 凭据:须为客户端标识、冒号与密钥的 base64 编码")
    }

    /// The body is of another media type than `expected`.
    pub(crate) fn media_type(expected: &str) -> Self {
        Self::new(
            format!("it must be {expected}, and the Content-Type header must say so"),
            format!("须为 {expected},并由 Content-Type 请求头注明"),
        )
    }

    /// Returns the text in `language`.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }
}

/// Returns how many there have to be, in both languages; none where any number is fine.
fn count(least: Option<u64>, most: Option<u64>) -> Option<(String, String)> {
    match (least.filter(|least| *least > 0), most) {
        (Some(least), Some(most)) if least == most => Some((format!("{least}"), format!("{least}"))),
        (Some(least), Some(most)) => Some((format!("{least} to {most}"), format!("{least} 到 {most}"))),
        (Some(least), None) => Some((format!("at least {least}"), format!("至少 {least}"))),
        (None, Some(most)) => Some((format!("at most {most}"), format!("至多 {most}"))),
        (None, None) => None,
    }
}

impl From<JsonError> for Detail {
    fn from(error: JsonError) -> Self {
        let JsonError { line, column, fault } = &error;
        let fault = match fault {
            JsonFault::NotUtf8 => "不是 UTF-8".into(),
            JsonFault::ByteOrderMark => "以字节顺序标记开头".into(),
            JsonFault::Syntax => "不是 JSON".into(),
            JsonFault::Truncated => "内容不完整".into(),
            JsonFault::NotAnObject => "不是对象".into(),
            JsonFault::Trailing => "对象之后还有内容".into(),
            JsonFault::Repeated(Some(name)) => format!("成员 {name} 重复"),
            JsonFault::Repeated(None) => "有成员重复".into(),
            JsonFault::TooDeep => format!("嵌套超过 {MAX_DEPTH} 层"),
            JsonFault::TooMany => format!("值超过 {MAX_VALUES} 个"),
        };
        Self::new(error.to_string(), format!("{fault}(第 {line} 行第 {column} 列)"))
    }
}

impl From<FormError> for Detail {
    /// The fault of a query.
    fn from(error: FormError) -> Self {
        let (english, chinese) = match error {
            FormError::Illegible(number) => (
                format!("parameter {number} has an invalid percent-escape, or is not UTF-8 text"),
                format!("第 {number} 个参数的百分号转义无效,或不是 UTF-8"),
            ),
            FormError::Repeated(_, Some(name)) => {
                (format!("the parameter {name} is repeated"), format!("参数 {name} 重复"))
            }
            FormError::Repeated(number, None) => {
                (format!("parameter {number} is repeated"), format!("第 {number} 个参数重复"))
            }
            FormError::TooMany => (
                format!("there are more than {MAX_PARAMETERS} parameters"),
                format!("参数超过 {MAX_PARAMETERS} 个"),
            ),
        };
        Self::new(english, chinese)
    }
}

impl From<HeaderError> for Detail {
    fn from(error: HeaderError) -> Self {
        let HeaderError { name, fault } = error;
        let fault = match fault {
            HeaderFault::Repeated => "重复",
            HeaderFault::NotText => "含有可见 ASCII 字符、空格和制表符以外的字节",
            HeaderFault::TooLong { .. } => "过长",
        };
        Self::new(error.to_string(), format!("请求头 {name} {fault}"))
    }
}
