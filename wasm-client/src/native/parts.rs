//! A task that trains only some parts of another's adapter.

use choir_shared::ids::Digest;
use choir_shared::task::{AdapterLayout, PartKind, Payload, TaskConfig};

use super::error::NativeError;
use super::job::TrainedPart;

/// The smaller task with its start values, and its head if that is frozen.
pub(super) struct Reduced {
    pub(super) task: TaskConfig,
    pub(super) flat: Vec<f32>,
    pub(super) frozen_head: Option<Vec<f32>>,
}

/// Keeps `parts` of the adapter `flat`; a head that is left out is frozen as it is.
pub(super) fn reduce(
    task: &TaskConfig,
    flat: &[f32],
    parts: &[TrainedPart],
) -> Result<Reduced, NativeError> {
    let layout = AdapterLayout::new(task)?;
    let mut reduced = task.clone();
    let Payload::Adapter(adapter) = &mut reduced.payload else {
        return Err(NativeError::NoAdapter);
    };
    if !parts.contains(&TrainedPart::Lora) {
        adapter.lora = None;
    }
    if !parts.contains(&TrainedPart::Prompt) {
        adapter.soft_prompt = None;
    }
    let mut frozen_head = None;
    if adapter.head && !parts.contains(&TrainedPart::Head) {
        adapter.head = false;
        let head: Vec<f32> = [PartKind::HeadWeight, PartKind::HeadBias]
            .into_iter()
            .filter_map(|kind| layout.part(kind))
            .flat_map(|part| flat[part.range.clone()].iter().copied())
            .collect();
        reduced.frozen_head = Some(Digest::of(bytes_of(&head).as_slice()));
        frozen_head = Some(head);
    }
    let kept = AdapterLayout::new(&reduced)?;
    let flat = kept
        .parts()
        .iter()
        .filter_map(|part| layout.part(part.kind))
        .flat_map(|part| flat[part.range.clone()].iter().copied())
        .collect();
    Ok(Reduced {
        task: reduced,
        flat,
        frozen_head,
    })
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
