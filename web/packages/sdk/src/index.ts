/**
 * Choir in a page: `createChoir({ aggregator, policy, engine }).join({ examples, signal })`, then
 * `for await` over the session's events.
 */

export type { AdapterChoice, Classification, WriterReport } from "./calls.ts";
export type { UnfinishedTraining } from "./checkpoint_files.ts";
export { createChoir } from "./choir.ts";
export type { Choir, ChoirOptions, PredictOptions } from "./choir.ts";
export { asChoirError, ChoirError } from "./errors.ts";
export type { ChoirErrorCode } from "./errors.ts";
export type { ChoirEvent, EngineKind, EngineReport, EngineWish, Evaluation, RoundReport, SentWhat, StopReason, TaskSummary } from "./events.ts";
export { parseExamples } from "./examples.ts";
export type { Example, ParsedExamples, RefusedLine } from "./examples.ts";
export { DEFAULT_HELD_OUT, shuffle } from "./held_out.ts";
export type { HeldOutOptions } from "./held_out.ts";
export type { Participation, TaskLedger } from "./ledger.ts";
export type { Helper, MemoryPlan, SamplingSettings } from "./modules.ts";
export { parsePassages } from "./passages.ts";
export { DEFAULT_PAUSES } from "./pauses.ts";
export type { PauseCause } from "./pauses.ts";
export { ALL_MINI_LM_L6_V2, browserUploadCount, CHOIR_4M, DEFAULT_POLICY, DEMO_POLICY, STORIES_260K } from "./policy.ts";
export type { Policy, UploadCount } from "./policy.ts";
export type { PrivacyReceipt, ReceiptEntry, SendingKind } from "./receipt.ts";
export { sentence } from "./sentence.ts";
export type { JoinOptions, Session } from "./session.ts";
export type { SuggestionEnd } from "./suggestion_end.ts";
export { trustInWords } from "./task_view.ts";
export { WritingAssistant } from "./writing_assistant.ts";
export type { SuggestOptions, Suggestion } from "./writing_assistant.ts";
