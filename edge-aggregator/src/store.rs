//! Named values in a Durable Object's SQLite, in rows of [`ROW_BYTES`].
//!
//! Every call is synchronous. The runtime commits what one turn wrote at once, and holds every
//! answer and every frame until that commit is durable (the output gate). [`Store::atomically`] adds
//! that a fault between two writes undoes both.

use choir_shared::round::aggregator::{words_from_bytes, words_to_bytes};
use wasm_bindgen::prelude::*;
use worker::js_sys::Uint8Array;
use worker::{SqlStorage, SqlStorageValue, State};

use crate::error::EdgeError;
use crate::limits::ROW_BYTES;

#[wasm_bindgen]
extern "C" {
    type Storage;

    /// Not among the bindings of the `worker` crate: commits when `write` returns, undoes all of
    /// it when `write` throws.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Storage,
        write: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<(), JsValue>;
}

/// The values of one object.
pub struct Store {
    sql: SqlStorage,
    storage: Storage,
}

impl Store {
    /// The store of the object with this state. Writes nothing: an object that was only asked for
    /// leaves nothing behind.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let storage = state.storage();
        let raw: &JsValue = storage.as_raw();
        Self {
            sql: storage.sql(),
            storage: raw.clone().unchecked_into(),
        }
    }

    /// The database, for tables of the caller's own.
    #[must_use]
    pub const fn sql(&self) -> &SqlStorage {
        &self.sql
    }

    /// Runs `write`; where it fails, nothing that it wrote stays.
    ///
    /// # Errors
    /// That of `write`, or [`EdgeError::Fault`] where storage fails.
    pub fn atomically(
        &self,
        mut write: impl FnMut() -> Result<(), EdgeError>,
    ) -> Result<(), EdgeError> {
        let mut failure = None;
        let outcome = self.storage.transaction_sync(&mut || {
            write().map_err(|error| {
                failure = Some(error);
                JsValue::from_str("undone")
            })
        });
        match (outcome, failure) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(worker::Error::from(error).into()),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Makes the table, once.
    ///
    /// # Errors
    /// [`EdgeError::Fault`] where storage fails, as in every call here.
    pub fn create(&self) -> Result<(), EdgeError> {
        self.sql.exec(
            "CREATE TABLE IF NOT EXISTS part (
                name TEXT NOT NULL, position INTEGER NOT NULL, whole INTEGER NOT NULL,
                bytes BLOB NOT NULL, PRIMARY KEY (name, position))",
            None,
        )?;
        Ok(())
    }

    /// Whether [`Self::create`] was ever called on this object.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn exists(&self) -> Result<bool, EdgeError> {
        let mut rows = self
            .sql
            .exec(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'part'",
                None,
            )?
            .raw();
        Ok(rows.next().transpose()?.is_some())
    }

    /// Stores a value in place of an earlier one of that name. Rows that a longer one left behind are
    /// not read any more, and go with the name.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn put(&self, name: &str, value: &[u8]) -> Result<(), EdgeError> {
        // An empty value still has one row, else it could not be told from none.
        let rows = value.len().div_ceil(ROW_BYTES).max(1);
        for position in 0..rows {
            let start = position * ROW_BYTES;
            let part = &value[start..value.len().min(start + ROW_BYTES)];
            self.sql.exec_raw(
                "INSERT OR REPLACE INTO part (name, position, whole, bytes) VALUES (?, ?, ?, ?)",
                vec![
                    JsValue::from_str(name),
                    JsValue::from(position as u32),
                    JsValue::from(value.len() as u32),
                    Uint8Array::from(part).into(),
                ],
            )?;
        }
        Ok(())
    }

    /// The value of that name.
    ///
    /// # Errors
    /// [`EdgeError::Fault`], also where rows are missing or of another value.
    pub fn value(&self, name: &str) -> Result<Option<Vec<u8>>, EdgeError> {
        let rows = self
            .sql
            .exec(
                "SELECT whole, bytes FROM part WHERE name = ? ORDER BY position",
                vec![name.into()],
            )?
            .raw();
        let mut value: Option<Vec<u8>> = None;
        let mut expected = 0;
        for row in rows {
            if value
                .as_ref()
                .is_some_and(|value| value.len() as i64 == expected)
            {
                break;
            }
            let row = row?;
            let [
                SqlStorageValue::Integer(whole),
                SqlStorageValue::Blob(bytes),
            ] = row.as_slice()
            else {
                return Err(EdgeError::Fault(format!(
                    "stored part {name} has another type"
                )));
            };
            expected = *whole;
            value.get_or_insert_default().extend_from_slice(bytes);
        }
        match value {
            Some(value) if value.len() as i64 != expected => Err(EdgeError::Fault(format!(
                "stored value {name} is incomplete"
            ))),
            value => Ok(value),
        }
    }

    /// Every value whose name begins with `prefix`, with its name.
    ///
    /// # Errors
    /// [`EdgeError::Fault`], also where rows are missing.
    pub fn values(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, EdgeError> {
        let rows = self
            .sql
            .exec(
                "SELECT DISTINCT name FROM part WHERE substr(name, 1, ?) = ?",
                vec![SqlStorageValue::Integer(prefix.len() as i64), prefix.into()],
            )?
            .raw();
        let mut values = Vec::new();
        for row in rows {
            let row = row?;
            let [SqlStorageValue::String(name)] = row.as_slice() else {
                return Err(EdgeError::Fault("a stored name has another type".into()));
            };
            values.extend(self.value(name)?.map(|bytes| (name.clone(), bytes)));
        }
        Ok(values)
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn delete(&self, name: &str) -> Result<(), EdgeError> {
        self.sql
            .exec("DELETE FROM part WHERE name = ?", vec![name.into()])?;
        Ok(())
    }

    /// Forgets every value except those named.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn keep_only(&self, names: &[&str]) -> Result<(), EdgeError> {
        let marks = vec!["?"; names.len()].join(", ");
        let names: Vec<SqlStorageValue> = names.iter().map(|name| (*name).into()).collect();
        self.sql.exec(
            &format!("DELETE FROM part WHERE name NOT IN ({marks})"),
            names,
        )?;
        Ok(())
    }

    /// Stores u32 words, little-endian.
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn put_words(&self, name: &str, words: &[u32]) -> Result<(), EdgeError> {
        self.put(name, &words_to_bytes(words))
    }

    /// Words stored by [`Self::put_words`].
    ///
    /// # Errors
    /// [`EdgeError::Fault`].
    pub fn words(&self, name: &str) -> Result<Option<Vec<u32>>, EdgeError> {
        let words = |bytes: Vec<u8>| {
            words_from_bytes(&bytes)
                .ok_or_else(|| EdgeError::Fault(format!("stored value {name} is not of words")))
        };
        self.value(name)?.map(words).transpose()
    }
}
