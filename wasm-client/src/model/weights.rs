//! A safetensors file read as a stream: bytes come in order in any chunking, each tensor goes out
//! when its last byte is here. Values of f32, f16 and bf16 become f32 on the way, so that no more
//! than one tensor is held.
//!
//! A matrix in eight bits becomes f32 as well where its scales, named as it is with `.scales` behind,
//! come before it: one for 32 neighbours in a row, `[rows, columns / 32]`, or in a column,
//! `[rows / 32, columns]`.

use std::collections::{BTreeMap, VecDeque};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

mod scales;

/// Longest header that is accepted. A header holds about 100 bytes for each tensor.
const MAX_HEADER_BYTES: u64 = 8 << 20;

/// What can be wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The header's length is not that of a safetensors file.
    #[error("not a safetensors file: a header of {0} bytes")]
    HeaderLength(u64),
    /// The header cannot be read.
    #[error("the header of the safetensors file cannot be read: {0}")]
    Header(String),
    /// There are bytes after the last tensor.
    #[error("the file goes on after its last tensor")]
    TrailingBytes,
    /// The file ended too early.
    #[error("the file ended early, {0} bytes short")]
    Truncated(u64),
    /// Scales that do not fit their matrix.
    #[error(
        "{name}.scales is {found:?}; of the matrix {shape:?} there should be one scale for 32 \
         neighbours in a row or in a column"
    )]
    Scales {
        /// The matrix.
        name: String,
        /// Its dimensions.
        shape: Vec<usize>,
        /// Those of the scales.
        found: Vec<usize>,
    },
}

/// A tensor of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileTensor {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values, row-major; none if they are integers without scales.
    pub values: Vec<f32>,
}

/// Ends the name of a matrix's scales.
const SCALES: &str = ".scales";

/// The reader.
#[derive(Debug, Default)]
pub struct SafetensorsReader {
    header: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug, Default)]
struct Body {
    queue: VecDeque<Announced>,
    values: Vec<f32>,
    /// Bytes of a value that is not complete.
    partial: Vec<u8>,
    /// Scales whose matrix is to come, by its name.
    scales: BTreeMap<String, FileTensor>,
}

/// A tensor whose bytes are to come.
#[derive(Debug)]
struct Announced {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    /// Bytes still to come.
    missing: usize,
}

impl SafetensorsReader {
    /// Takes the next bytes and hands complete tensors to `sink`.
    ///
    /// # Errors
    /// [`WeightsError`], or what `sink` refuses with. The reader is of no use afterwards.
    pub fn push<E: From<WeightsError>>(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(FileTensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let body = match &mut self.body {
            Some(body) => body,
            None => {
                bytes = fill_header(&mut self.header, bytes)?;
                match header_len(&self.header)? {
                    Some(len) if self.header.len() == len => {}
                    _ => return Ok(()),
                }
                let body = Body {
                    queue: announced(&self.header[8..])?,
                    ..Body::default()
                };
                self.header = Vec::new();
                self.body.insert(body)
            }
        };
        body.push(bytes, &mut sink)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`WeightsError::Truncated`] if bytes are missing.
    pub fn finish(&self) -> Result<(), WeightsError> {
        let missing = match &self.body {
            None => 8u64.saturating_sub(self.header.len() as u64).max(1),
            Some(body) => body.queue.iter().map(|tensor| tensor.missing as u64).sum(),
        };
        if missing == 0 {
            Ok(())
        } else {
            Err(WeightsError::Truncated(missing))
        }
    }
}

impl Body {
    fn push<E: From<WeightsError>>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(FileTensor) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(tensor) = self.queue.front_mut() {
            let (now, later) = bytes.split_at(tensor.missing.min(bytes.len()));
            bytes = later;
            tensor.missing -= now.len();
            if tensor.dtype != Dtype::I8 || self.scales.contains_key(&tensor.name) {
                append(&mut self.values, &mut self.partial, tensor.dtype, now);
            }
            if tensor.missing > 0 {
                return Ok(());
            }
            if let Some(Announced { name, shape, .. }) = self.queue.pop_front() {
                let values = core::mem::take(&mut self.values);
                self.complete(
                    FileTensor {
                        name,
                        shape,
                        values,
                    },
                    sink,
                )?;
            }
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(WeightsError::TrailingBytes.into())
        }
    }

    /// Keeps scales until their matrix comes; hands over everything else.
    fn complete<E: From<WeightsError>>(
        &mut self,
        mut tensor: FileTensor,
        sink: &mut impl FnMut(FileTensor) -> Result<(), E>,
    ) -> Result<(), E> {
        let of_matrix = tensor.name.strip_suffix(SCALES).map(str::to_owned);
        match of_matrix.filter(|name| self.queue.iter().any(|later| later.name == *name)) {
            Some(name) => {
                self.scales.insert(name, tensor);
                Ok(())
            }
            None => {
                if let Some(scales) = self.scales.remove(&tensor.name) {
                    scales::scale(&mut tensor, &scales)?;
                }
                sink(tensor)
            }
        }
    }
}

/// Moves bytes to the header until it is complete; yields the rest.
fn fill_header<'a>(header: &mut Vec<u8>, mut bytes: &'a [u8]) -> Result<&'a [u8], WeightsError> {
    loop {
        let wanted = header_len(header)?.unwrap_or(8);
        let (now, later) = bytes.split_at((wanted - header.len()).min(bytes.len()));
        header.extend_from_slice(now);
        bytes = later;
        if now.is_empty() {
            return Ok(bytes);
        }
    }
}

/// Length of the header with its own length field, once that field is here.
fn header_len(header: &[u8]) -> Result<Option<usize>, WeightsError> {
    let Some((field, _)) = header.split_first_chunk::<8>() else {
        return Ok(None);
    };
    match u64::from_le_bytes(*field) {
        len @ 2..=MAX_HEADER_BYTES => Ok(Some(8 + len as usize)),
        len => Err(WeightsError::HeaderLength(len)),
    }
}

fn announced(json: &[u8]) -> Result<VecDeque<Announced>, WeightsError> {
    let metadata: Metadata =
        serde_json::from_slice(json).map_err(|error| WeightsError::Header(error.to_string()))?;
    let mut queue = VecDeque::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else {
            continue;
        };
        queue.push_back(Announced {
            name,
            shape: info.shape.clone(),
            dtype: info.dtype,
            missing: info.data_offsets.1 - info.data_offsets.0,
        });
    }
    Ok(queue)
}

/// Appends the values of `bytes`. Tensors of other integers have none: files carry some that belong
/// to no layer, and where a layer's weight was expected its number of values is wrong.
fn append(values: &mut Vec<f32>, partial: &mut Vec<u8>, dtype: Dtype, bytes: &[u8]) {
    match dtype {
        Dtype::I8 => values.extend(bytes.iter().map(|byte| f32::from(*byte as i8))),
        Dtype::F32 => append_as::<4>(values, partial, bytes, f32::from_le_bytes),
        Dtype::F16 => append_as::<2>(values, partial, bytes, |b| from_f16(u16::from_le_bytes(b))),
        Dtype::BF16 => append_as::<2>(values, partial, bytes, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        }),
        _ => {}
    }
}

fn append_as<const N: usize>(
    values: &mut Vec<f32>,
    partial: &mut Vec<u8>,
    mut bytes: &[u8],
    convert: impl Fn([u8; N]) -> f32,
) {
    if !partial.is_empty() {
        let (now, later) = bytes.split_at((N - partial.len()).min(bytes.len()));
        partial.extend_from_slice(now);
        bytes = later;
        if let Ok(value) = partial.as_slice().try_into() {
            values.push(convert(value));
            partial.clear();
        }
    }
    let (whole, rest) = bytes.as_chunks::<N>();
    values.extend(whole.iter().map(|value| convert(*value)));
    partial.extend_from_slice(rest);
}

/// IEEE 754 half precision.
fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 31;
    let fraction = u32::from(bits) & 1023;
    let magnitude = match exponent {
        // Subnormal: fraction · 2^-24.
        0 => fraction as f32 * f32::from_bits(0x3380_0000),
        31 => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let header = br#"{"b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"c":{"dtype":"BF16","shape":[1],"data_offsets":[14,16]},"__metadata__":{"format":"pt"}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(&1.5f32.to_le_bytes());
        bytes.extend_from_slice(&(-2.0f32).to_le_bytes());
        for half in [0x3c00u16, 0xc500, 0x0001, 0x4049] {
            bytes.extend_from_slice(&half.to_le_bytes());
        }
        bytes
    }

    fn read(chunks: &[&[u8]]) -> Result<Vec<FileTensor>, WeightsError> {
        let mut reader = SafetensorsReader::default();
        let mut tensors = Vec::new();
        for chunk in chunks {
            reader.push(chunk, |tensor| {
                tensors.push(tensor);
                Ok::<_, WeightsError>(())
            })?;
        }
        reader.finish()?;
        Ok(tensors)
    }

    #[test]
    fn any_chunking_yields_the_same_tensors() {
        let bytes = file();
        let whole = read(&[&bytes]).unwrap();
        assert_eq!(whole[0].values, [1.5, -2.0]);
        assert_eq!(whole[0].shape, [1, 2]);
        assert_eq!(whole[1].values, [1.0, -5.0, 5.960_464_5e-8]);
        assert_eq!(whole[2].values, [3.140_625]);
        for size in 1..40 {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(read(&chunks).unwrap(), whole, "chunks of {size}");
        }
    }

    /// A matrix of twos and threes in eight bits, with these scales before it.
    fn quantised(shape: [usize; 2], scales_shape: [usize; 2], scales: &[f32]) -> Vec<u8> {
        let [end, values] = [4 * scales.len(), shape[0] * shape[1]];
        let header = format!(
            r#"{{"w.scales":{{"dtype":"F32","shape":{scales_shape:?},"data_offsets":[0,{end}]}},"w":{{"dtype":"I8","shape":{shape:?},"data_offsets":[{end},{}]}}}}"#,
            end + values
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        scales.iter().for_each(|s| bytes.extend(s.to_le_bytes()));
        bytes.extend((0..values).map(|at| if at % 2 == 0 { 2 } else { -3i8 as u8 }));
        bytes
    }

    #[test]
    fn eight_bits_become_values_by_the_scales_of_rows_or_columns() {
        let along_rows = quantised([1, 64], [1, 2], &[0.5, 10.0]);
        let read_back = read(&[&along_rows]).unwrap();
        assert_eq!(read_back.len(), 1);
        assert_eq!(read_back[0].values[..2], [1.0, -1.5]);
        assert_eq!(read_back[0].values[32..34], [20.0, -30.0]);
        let along_columns = quantised([33, 2], [2, 2], &[0.5, 10.0, 1.0, 2.0]);
        for size in [1, 7, 1000] {
            let chunks: Vec<&[u8]> = along_columns.chunks(size).collect();
            let values = &read(&chunks).unwrap()[0].values;
            assert_eq!(values[..4], [1.0, -30.0, 1.0, -30.0]);
            assert_eq!(values[64..], [2.0, -6.0]);
        }
        let wrong = quantised([2, 64], [2, 1], &[0.5, 10.0]);
        let error = read(&[&wrong]).unwrap_err().to_string();
        assert!(
            error.starts_with("w.scales is [2, 1]; of the matrix [2, 64]"),
            "{error}"
        );
    }

    #[test]
    fn files_of_the_wrong_length_are_refused() {
        let bytes = file();
        let short = &bytes[..bytes.len() - 3];
        assert!(matches!(read(&[short]), Err(WeightsError::Truncated(3))));
        assert!(matches!(
            read(&[&bytes[..5]]),
            Err(WeightsError::Truncated(_))
        ));
        assert!(matches!(
            read(&[&bytes, b"x"]),
            Err(WeightsError::TrailingBytes)
        ));
    }

    #[test]
    fn other_bytes_are_refused() {
        let page = b"<!doctype html><html></html>";
        assert!(matches!(read(&[page]), Err(WeightsError::HeaderLength(_))));
        let mut bytes = file();
        bytes[8] = b'[';
        assert!(matches!(read(&[&bytes]), Err(WeightsError::Header(_))));
    }
}
