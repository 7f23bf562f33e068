//! What the head's gradient says: its column of a class is the pooled embedding of that class's
//! text times the error, so one update shows the direction of a text's embedding. The attacker
//! looks for the public text nearest to it.

use super::observation::Observation;
use super::texts::Text;

/// Public texts and their pooled embeddings.
pub(super) struct Library<'a> {
    /// The texts.
    pub(super) texts: &'a [Text],
    /// `[texts, dim]`.
    pub(super) embeddings: Vec<f32>,
}

impl Library<'_> {
    /// The words of the public text of about `tokens` tokens whose embedding is nearest to that of
    /// any class which the update pulls towards.
    pub(super) fn nearest(&self, observation: &Observation, tokens: usize) -> Vec<String> {
        let dim = self.embeddings.len() / self.texts.len().max(1);
        let labels = observation.head.len() / (dim + 1);
        let (weight, bias) = observation.head.split_at(dim * labels);
        // Minus the gradient: the direction in which the head moves towards a text.
        let columns: Vec<Vec<f32>> = (0..labels)
            .filter(|label| bias[*label] < 0.0)
            .map(|label| unit((0..dim).map(|row| -weight[row * labels + label]).collect()))
            .collect();
        let off_by = |text: &Text| text.tokens.len().abs_diff(tokens);
        let closest = self.texts.iter().map(off_by).min().unwrap_or_default();
        let mut best = (f32::NEG_INFINITY, None);
        for (text, embedding) in self.texts.iter().zip(self.embeddings.chunks_exact(dim)) {
            if off_by(text) > closest {
                continue;
            }
            let embedding = unit(embedding.to_vec());
            for column in &columns {
                let cosine: f32 = column.iter().zip(&embedding).map(|(a, b)| a * b).sum();
                if cosine > best.0 {
                    best = (cosine, Some(text));
                }
            }
        }
        best.1.map(|text| text.words.clone()).unwrap_or_default()
    }
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    values
        .iter_mut()
        .for_each(|value| *value /= length.max(f32::MIN_POSITIVE));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_whose_embedding_the_gradient_shows_is_found() {
        let text = |word: &str| Text {
            words: vec![word.to_owned()],
            tokens: vec![0; 4],
            label: 0,
        };
        let texts = [text("north"), text("east")];
        let library = Library {
            texts: &texts,
            embeddings: vec![0.0, 2.0, 3.0, 0.0],
        };
        // Two classes; class 1 is the text's, whose embedding points east.
        let observation = Observation {
            inputs: Vec::new(),
            second_inputs: Vec::new(),
            columns: 0,
            head: vec![0.5, -0.5, 0.0, 0.0, 0.5, -0.5],
            noise: 0.0,
        };
        assert_eq!(library.nearest(&observation, 4), ["east"]);
    }
}
