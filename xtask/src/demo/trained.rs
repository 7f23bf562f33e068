//! What of a decoder the writing demo trains: `--train lora,norms,prefix`.

use choir_shared::task::{
    BottleneckConfig, DecoderAdapterConfig, DecoderLoraConfig, DecoderTarget, VirtualTokens,
    VirtualTokensConfig,
};

/// Width of a bottleneck and of a prompt encoder.
const WIDTH: u32 = 16;

/// The parts by name, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trained(Vec<&'static str>);

const NAMES: [&str; 7] = [
    "lora",
    "biases",
    "norms",
    "bottleneck",
    "soft-prompt",
    "prefix",
    "prompt-encoder",
];

impl Default for Trained {
    fn default() -> Self {
        Self(vec!["lora"])
    }
}

impl Trained {
    /// Reads names between commas.
    ///
    /// # Errors
    /// In words, for a name that is none, twice the same, or two kinds of virtual tokens.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        for name in text.split(',') {
            let known = NAMES.into_iter().find(|known| *known == name);
            let known = known.ok_or_else(|| format!("{name:?} is none of {}", NAMES.join(", ")))?;
            if parts.contains(&known) {
                return Err(format!("{name:?} is there twice"));
            }
            parts.push(known);
        }
        let trained = Self(parts);
        let tokens = NAMES[4..].iter().filter(|name| trained.has(name));
        match tokens.count() {
            0 | 1 => Ok(trained),
            _ => Err("virtual tokens are of one kind".to_owned()),
        }
    }

    /// The names.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.0
    }

    /// The adapter: LoRA of this rank in all linear layers, as many virtual tokens as asked for, or
    /// one.
    pub(crate) fn adapter(&self, rank: u16, num_virtual_tokens: u16) -> DecoderAdapterConfig {
        let trained = [
            ("soft-prompt", VirtualTokens::SoftPrompt),
            ("prefix", VirtualTokens::Prefix),
            (
                "prompt-encoder",
                VirtualTokens::PromptEncoder { width: WIDTH },
            ),
        ];
        let tokens = trained.into_iter().find(|(name, _)| self.has(name));
        DecoderAdapterConfig {
            lora: self.has("lora").then(|| DecoderLoraConfig {
                rank: rank.max(1),
                alpha: 2.0 * f32::from(rank.max(1)),
                rank_stabilised: false,
                dropout: 0.0,
                targets: DecoderTarget::ALL.to_vec(),
            }),
            biases: match self.has("biases") {
                true => DecoderTarget::ALL.to_vec(),
                false => Vec::new(),
            },
            norms: self.has("norms"),
            bottleneck: self
                .has("bottleneck")
                .then_some(BottleneckConfig { width: WIDTH }),
            virtual_tokens: tokens.map(|(_, trained)| VirtualTokensConfig {
                num_virtual_tokens: num_virtual_tokens.max(1),
                trained,
            }),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, Trained};
    use choir_shared::task::DecoderStyle;

    #[test]
    fn every_part_alone_makes_an_adapter_and_what_makes_none_is_refused() {
        for name in NAMES {
            let adapter = Trained::read(name).expect(name).adapter(4, 2);
            assert_eq!(adapter.check(DecoderStyle::Llama), Ok(()), "{name}");
        }
        let all = Trained::read("lora,biases,norms,bottleneck,prefix").expect("a list");
        assert_eq!(all.adapter(0, 0).check(DecoderStyle::Llama), Ok(()));
        for wrong in ["", "lora,lora", "prefix,soft-prompt", "adapter"] {
            assert!(Trained::read(wrong).is_err(), "{wrong:?}");
        }
    }
}
