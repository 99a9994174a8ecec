//! A record as a value of the caller's own type: an enum with a variant for each event type.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Display;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, EnumAccess, VariantAccess, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::de::StrRead;

use crate::journal::JournalError;
use crate::journal::record::Record;

impl Record {
    /// The event as an enum that has a variant for each event type that the caller knows; `None` where
    /// it has none for this one, so that code goes on to work beside newer code that writes more types.
    ///
    /// The payload is the content of the variant. A variant without content is for events whose payload
    /// does not matter; one with named fields reads an event without payload as `{}`. A variant with
    /// `#[serde(other)]` stands for all types that the enum does not name: then `None` does not come.
    ///
    /// The type must be an enum in serde's usual form, or a newtype of one: the event's type is its tag.
    /// A struct, an `Option`, and an enum with `#[serde(tag = ..)]` or `#[serde(untagged)]` are refused;
    /// for the payload alone there is [`payload`](Record::payload).
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use runjournal::{Event, TaskOptions, Workspace};
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use serde::Deserialize;
    ///
    /// #[derive(Debug, PartialEq, Deserialize)]
    /// #[serde(rename_all = "snake_case")]
    /// enum MyEvent {
    ///     ToolCalled { tool: String },
    ///     Scored(u32),
    ///     GaveUp,
    /// }
    ///
    /// ctx.append(Event::new("tool_called").payload(&serde_json::json!({"tool": "cc"})))?;
    /// ctx.append(Event::new("scored").payload(&7))?;
    /// ctx.append(Event::new("of_a_newer_version"))?;
    /// ctx.append(Event::new("gave_up"))?;
    ///
    /// let mut events = Vec::new();
    /// for record in ctx.events()? {
    ///     events.extend(record?.decode::<MyEvent>()?);
    /// }
    /// let called = MyEvent::ToolCalled { tool: "cc".into() };
    /// assert_eq!(events, [called, MyEvent::Scored(7), MyEvent::GaveUp]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the payload does not have the shape of its variant;
    /// [`JournalError::NotAnEnum`] where the type is refused, whatever the record.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Option<T>, JournalError> {
        let elsewhere = OnceCell::new();
        match T::deserialize(EventDeserializer { record: self, elsewhere: &elsewhere }) {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::UnknownType) => Ok(None),
            Err(Refusal::NotAnEnum) => {
                Err(JournalError::NotAnEnum { asked: std::any::type_name::<T>() })
            }
            Err(Refusal::Journal(error)) => Err(error),
            Err(Refusal::Json(source)) => Err(JournalError::Payload {
                seq: self.seq(),
                event_type: self.event_type().to_owned(),
                source,
            }),
        }
    }
}

/// Why a record is not a value of the type.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the enum has no variant for this event type")]
    UnknownType,
    #[error("the type is not an enum")]
    NotAnEnum,
    #[error(transparent)]
    Journal(JournalError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl serde::de::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self::Json(serde_json::Error::custom(message))
    }

    /// Payloads are read by serde_json, so this is of the event's type.
    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownType
    }
}

#[derive(Clone, Copy)]
struct EventDeserializer<'de> {
    record: &'de Record,
    /// A payload that does not stand in the line, once it was read.
    elsewhere: &'de OnceCell<String>,
}

impl<'de> EventDeserializer<'de> {
    /// Reads the payload, all of it; where there is none, what stands for it.
    fn payload<T>(
        self,
        none: &'static str,
        read: impl FnOnce(&mut serde_json::Deserializer<StrRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Refusal> {
        let json = match self.record.payload_json().map_err(Refusal::Journal)? {
            None => none,
            Some(Cow::Borrowed(json)) => json,
            Some(Cow::Owned(json)) => self.elsewhere.get_or_init(|| json),
        };
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let value = read(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for EventDeserializer<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::NotAnEnum)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for EventDeserializer<'de> {
    type Error = Refusal;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Refusal> {
        let event_type = StrDeserializer::<Refusal>::new(self.record.event_type());
        Ok((seed.deserialize(event_type)?, self))
    }
}

impl<'de> VariantAccess<'de> for EventDeserializer<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        self.payload("null", |json| seed.deserialize(json))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.payload("null", |json| json.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.payload("{}", |json| json.deserialize_struct("", fields, visitor))
    }
}
