//! The macros that make shapes. `docs/CONTRIBUTING.md` shows how to use them.

/// Makes the struct of a JSON body, a query or a form, with its reader and its schema.
macro_rules! body {
    (
        $(#[doc = $doc:literal])+
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $member_doc:literal])+
                $member:ident $(as $json:literal)?: $type:ty $([$($limits:tt)+])? $(=> $problem:ident)? $(= $example:tt)?,
            )*
            $(..$included:ident: $include:ty,)*
        }
    ) => {
        $(#[doc = $doc])+
        $visibility struct $name {
            $($(#[doc = $member_doc])+ pub(crate) $member: $type,)*
            $(pub(crate) $included: $include,)*
        }

        impl $crate::http::shape::ReadBody for $name {
            const BODY: &'static $crate::http::shape::Object = &$crate::http::shape::Object {
                name: stringify!($name),
                doc: concat!($($doc),+),
                members: &[$($crate::http::shape::Member {
                    name: $crate::http::shape::member!($member $($json)?),
                    doc: concat!($($member_doc),+),
                    required: <$type as $crate::http::shape::BodyMember>::REQUIRED,
                    nullable: !<$type as $crate::http::shape::BodyMember>::REQUIRED,
                    schema: <$type as $crate::http::shape::BodyMember>::SCHEMA$(.$($limits)+)?,
                    problem: $crate::http::shape::problem!($($problem)?),
                    example: concat!($(stringify!($example))?),
                }),*],
                included: &[$(<$include as $crate::http::shape::ReadBody>::BODY),*],
            };

            fn read_members(
                members: &serde_json::Map<alloc::string::String, serde_json::Value>,
                place: &$crate::http::shape::Place<'_>,
            ) -> Result<Self, $crate::http::request_error::RequestError> {
                Ok(Self {
                    $($member: {
                        let name = $crate::http::shape::member!($member $($json)?);
                        let read = $crate::http::shape::BodyMember::read_member(members.get(name), &place.member(name));
                        read$(.map_err(|error| error.with_problem($crate::http::problem::Problem::$problem)))??
                    },)*
                    $($included: $crate::http::shape::ReadBody::read_members(members, place)?,)*
                })
            }
        }

        impl $crate::http::shape::Shape for $name {
            const SCHEMA: $crate::http::shape::Schema = $crate::http::shape::Schema::of(
                $crate::http::shape::Kind::Object(<Self as $crate::http::shape::ReadBody>::BODY),
            );
        }

        impl $crate::http::shape::Read for $name {
            fn read(
                value: &serde_json::Value,
                place: &$crate::http::shape::Place<'_>,
            ) -> Result<Self, $crate::http::request_error::RequestError> {
                $crate::http::shape::ReadBody::read_members($crate::http::shape::members(value, place)?, place)
            }
        }
    };
}

/// Makes the struct of a form, which borrows its parameters, with its reader and its schema.
macro_rules! form {
    (
        $(#[doc = $doc:literal])+
        $visibility:vis struct $name:ident<$life:lifetime> {
            $(
                $(#[doc = $member_doc:literal])+
                $member:ident: $type:ty $([$($limits:tt)+])? $(= $example:tt)?,
            )*
            $(..$included:ident: $include:ty,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[allow(dead_code, reason = "a parameter may be described that is not needed")]
        $visibility struct $name<$life> {
            $($(#[doc = $member_doc])+ pub(crate) $member: $type,)*
            $(pub(crate) $included: $include,)*
        }

        impl<$life> $crate::http::shape::ReadForm<$life> for $name<$life> {
            const FORM: &'static $crate::http::shape::Object = &$crate::http::shape::Object {
                name: stringify!($name),
                doc: concat!($($doc),+),
                members: &[$($crate::http::shape::Member {
                    name: stringify!($member),
                    doc: concat!($($member_doc),+),
                    required: <$type as $crate::http::shape::FormParameter<$life>>::REQUIRED,
                    nullable: false,
                    schema: <$type as $crate::http::shape::FormParameter<$life>>::SCHEMA$(.$($limits)+)?,
                    problem: $crate::http::shape::problem!(),
                    example: concat!($(stringify!($example))?),
                }),*],
                included: &[$(<$include as $crate::http::shape::ReadForm<$life>>::FORM),*],
            };

            fn of_form(
                form: &$life $crate::base::form::Form<'_>,
            ) -> Result<Self, $crate::http::oauth_error::OAuthError> {
                Ok(Self {
                    $($member: $crate::http::shape::FormParameter::read_parameter(form, stringify!($member))?,)*
                    $($included: $crate::http::shape::ReadForm::of_form(form)?,)*
                })
            }
        }
    };
}

/// Makes the struct of an answer, or of an object in one, with its writer and its schema.
macro_rules! answer {
    (
        $(#[doc = $doc:literal])+
        $(#[derive($derived:ident)])?
        $visibility:vis struct $name:ident $(<$life:lifetime>)? {
            $(
                $(#[doc = $member_doc:literal])+
                $member:ident $(as $json:literal)?: $type:ty $([$($limits:tt)+])? $(= $example:tt)?,
            )*
            $(..$included:ident: $include:ty,)*
        }
    ) => {
        $(#[doc = $doc])+
        $(#[derive($derived)])?
        $visibility struct $name $(<$life>)? {
            $($(#[doc = $member_doc])+ pub(crate) $member: $type,)*
            $(pub(crate) $included: $include,)*
        }

        impl $(<$life>)? $crate::http::shape::Answer for $name $(<$life>)? {
            const ANSWER: &'static $crate::http::shape::Object = &$crate::http::shape::Object {
                name: stringify!($name),
                doc: concat!($($doc),+),
                members: &[$($crate::http::shape::Member {
                    name: $crate::http::shape::member!($member $($json)?),
                    doc: concat!($($member_doc),+),
                    required: <$type as $crate::http::shape::AnswerMember>::REQUIRED,
                    nullable: <$type as $crate::http::shape::AnswerMember>::NULLABLE,
                    schema: <$type as $crate::http::shape::AnswerMember>::SCHEMA$(.$($limits)+)?,
                    problem: $crate::http::shape::problem!(),
                    example: concat!($(stringify!($example))?),
                }),*],
                included: &[$(<$include as $crate::http::shape::Answer>::ANSWER),*],
            };

            fn write_members<M: serde::ser::SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
                $($crate::http::shape::AnswerMember::write_member(
                    &self.$member,
                    $crate::http::shape::member!($member $($json)?),
                    members,
                )?;)*
                $($crate::http::shape::Answer::write_members(&self.$included, members)?;)*
                let _ = members;
                Ok(())
            }
        }

        impl $(<$life>)? $crate::http::shape::Shape for $name $(<$life>)? {
            const SCHEMA: $crate::http::shape::Schema = $crate::http::shape::Schema::of(
                $crate::http::shape::Kind::Object(<Self as $crate::http::shape::Answer>::ANSWER),
            );
        }

        impl $(<$life>)? serde::Serialize for $name $(<$life>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut members = serializer.serialize_map(None)?;
                $crate::http::shape::Answer::write_members(self, &mut members)?;
                serde::ser::SerializeMap::end(members)
            }
        }
    };
}

/// Makes a type that is a text in JSON a type of members. `named!(Role)` is for one of the names of `Role::ALL`. `named!(ClientId: schema,
/// read, rule)` is for any other: `read` returns none where the text breaks the rule, which is told in English and in Chinese, after "the
/// member NAME".
macro_rules! named {
    ($type:ty) => {
        $crate::http::shape::named! {
            $type: {
                #[allow(clippy::indexing_slicing, reason = "it is done by the compiler")]
                const NAMES: [&str; <$type>::ALL.len()] = {
                    let mut names = [""; <$type>::ALL.len()];
                    let mut index = 0;
                    while index < names.len() {
                        names[index] = <$type>::ALL[index].as_str();
                        index += 1;
                    }
                    names
                };
                $crate::http::shape::Schema::one_of(&NAMES)
            },
            |name| <$type>::ALL.iter().copied().find(|known| known.as_str() == name),
            ("has a name that is unknown", "名称未知")
        }
    };
    ($type:ty: $schema:expr, $read:expr, $rule:expr) => {
        impl $crate::http::shape::Shape for $type {
            const SCHEMA: $crate::http::shape::Schema = $schema;
        }

        impl $crate::http::shape::Read for $type {
            fn read(
                value: &serde_json::Value,
                place: &$crate::http::shape::Place<'_>,
            ) -> Result<Self, $crate::http::request_error::RequestError> {
                $crate::http::shape::read_named(value, place, $read, $rule)
            }
        }
    };
}

/// Returns the name of a member in JSON.
macro_rules! member {
    ($member:ident) => {
        stringify!($member)
    };
    ($member:ident $json:literal) => {
        $json
    };
}

/// Returns the problem that a member which does not fit is answered with.
macro_rules! problem {
    () => {
        $crate::http::problem::Problem::BadJson
    };
    ($problem:ident) => {
        $crate::http::problem::Problem::$problem
    };
}

pub(crate) use {answer, body, form, member, named, problem};
