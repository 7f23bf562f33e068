//! The encoders.

use choir_shared::task::{EncoderShape, Target};
use choir_wasm_client::adapter::AdapterViews;
use choir_wasm_client::adapter::HeadViews;
use choir_wasm_client::adapter::peft::{Imported, LoraMap, encoder_modules, import};
use choir_wasm_client::engine::kernels::generation::GenerationKernels;
use choir_wasm_client::engine::record::Recorded;
use choir_wasm_client::engine::{Engine, LoraFactors, Parameter};
use choir_wasm_client::model::Model;
use choir_wasm_client::model::config::ModelShape;
use choir_wasm_client::model::loader::EncoderLoader;

use super::case::{Case, Check, assert_near, on_both_engines};

const LABELS: usize = 3;

fn shape(case: &Case) -> EncoderShape {
    match case.config.shape {
        ModelShape::Encoder(shape) => shape,
        ModelShape::Decoder(_) => panic!("no encoder"),
    }
}

struct Whole(Case);

impl Check for Whole {
    fn on<K: GenerationKernels>(&self, mut engine: Recorded<K>) {
        let engine = &mut engine;
        let case = &self.0;
        let shape = shape(case);
        let mut loader = EncoderLoader::of(case.config.architecture, shape);
        for file in case.weights() {
            loader.push(engine, &file).unwrap();
        }
        let encoder = loader.finish().unwrap();
        let mut flat = Flat::default();
        let head = flat.head(case, shape.dim as usize);
        engine.load_adapter(&flat.values).unwrap();
        engine.begin(&case.batch(), false).unwrap();
        let hidden = encoder.hidden(engine, None).unwrap();
        let hidden = pollster::block_on(engine.read(&hidden)).unwrap();
        assert_near(&hidden, case.values("hidden"), "hidden states");
        let views = AdapterViews {
            head: Some(head.clone()),
            ..AdapterViews::default()
        };
        let model = Model::new(encoder.clone(), views, None);
        let base = self.step(engine, &model, "");
        assert_near(&[base], &[case.number("loss")], "loss");

        let lora = flat.lora(&adapter(case), &shape);
        engine.load_adapter(&flat.values).unwrap();
        let views = AdapterViews {
            head: Some(head),
            lora,
            prompt: None,
        };
        let model = Model::new(encoder, views.clone(), None);
        let adapted = self.step(engine, &model, "adapted.");
        assert_near(&[adapted], &[case.number("adapted_loss")], "adapted loss");
        engine.backward().unwrap();
        let gradient = pollster::block_on(engine.read_gradient()).unwrap();
        self.gradients(&views, &gradient);
    }
}

impl Whole {
    fn step<E: Engine>(&self, engine: &mut E, model: &Model<E::Tensor>, prefix: &str) -> f32 {
        engine.begin(&self.0.batch(), true).unwrap();
        let logits = model.logits(engine).unwrap();
        let values = pollster::block_on(engine.read(&logits)).unwrap();
        assert_near(&values, self.0.values(&format!("{prefix}logits")), "logits");
        engine.cross_entropy(&logits).unwrap();
        pollster::block_on(engine.read_loss()).unwrap()
    }

    fn gradients(&self, views: &AdapterViews, gradient: &[f32]) {
        let case = &self.0;
        let references = case.gradients();
        let transposed = |view: &Parameter| -> Vec<f32> {
            let [rows, columns] = view.shape;
            let values = &gradient[view.range.clone()];
            (0..values.len())
                .map(|p| values[p % rows * columns + p / rows])
                .collect()
        };
        let mut compared = 0;
        let mut compare = |name: &str, values: &[f32]| {
            assert_near(values, &references[name].values, name);
            compared += 1;
        };
        for module in encoder_modules(case.config.architecture, &shape(case)) {
            if let Some(factors) = views.lora.get(&module.parts[0].0) {
                let name =
                    |factor: &str| format!("base_model.model.{}.{factor}.weight", module.name);
                compare(&name("lora_A"), &transposed(&factors.a));
                compare(&name("lora_B"), &transposed(&factors.b));
            }
        }
        let head = views.head.as_ref().unwrap();
        compare("classifier.weight", &transposed(&head.weight));
        compare("classifier.bias", &gradient[head.bias.range.clone()]);
        assert_eq!(
            compared,
            references.len(),
            "every gradient has been compared"
        );
    }
}

fn adapter(case: &Case) -> LoraMap<(u32, Target)> {
    let modules = encoder_modules(case.config.architecture, &shape(case));
    let config = case.text("adapter/adapter_config.json");
    let bytes = case.bytes("adapter/adapter_model.safetensors");
    match import(&config, &bytes, &modules, [shape(case).dim as usize, 0]).unwrap() {
        Imported::Lora(factors) => factors,
        _ => panic!("no low-rank factors"),
    }
}

/// A flat vector with its views.
#[derive(Default)]
struct Flat {
    values: Vec<f32>,
}

impl Flat {
    fn append(&mut self, values: &[f32], shape: [usize; 2]) -> Parameter {
        let start = self.values.len();
        self.values.extend(values);
        Parameter {
            range: start..self.values.len(),
            shape,
        }
    }

    fn head(&mut self, case: &Case, dim: usize) -> HeadViews {
        let weight = case.values("classifier.weight");
        let transposed: Vec<f32> = (0..weight.len())
            .map(|place| weight[place % LABELS * dim + place / LABELS])
            .collect();
        HeadViews {
            weight: self.append(&transposed, [dim, LABELS]),
            bias: self.append(case.values("classifier.bias"), [1, LABELS]),
        }
    }

    fn lora(
        &mut self,
        factors: &LoraMap<(u32, Target)>,
        shape: &EncoderShape,
    ) -> std::collections::BTreeMap<(u32, Target), LoraFactors> {
        let mut views = std::collections::BTreeMap::new();
        for (&(layer, target), part) in factors {
            let [inputs, outputs] = choir_wasm_client::model::tensors::linear_shape(shape, target);
            let factors = LoraFactors {
                a: self.append(&part.a, [inputs, part.rank]),
                b: self.append(&part.b, [part.rank, outputs]),
                scale: part.scale,
            };
            views.insert((layer, target), factors);
        }
        views
    }
}

#[test]
fn hidden_states_losses_and_gradients_are_those_of_transformers_and_peft() {
    for name in ["bert", "distilbert"] {
        println!("{name}");
        on_both_engines(&Whole(Case::read(name)));
    }
}
