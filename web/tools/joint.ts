/** The parts of the SDK that take steps in several threads, for benches and tests; no page is given this. */

export { moduleTable, startThread } from "../packages/sdk/src/files.ts";
export { JointSteps } from "../packages/sdk/src/joint_steps.ts";
export { ThreadTrainer } from "../packages/sdk/src/trainer.ts";
