// Prints the token ids that the page gives a text, for a comparison with the Rust crate's.
//
//   node token_ids.mjs TOKENIZER_JSON MAX_LENGTH|passages [TEXTS_JSONL]
//
// MAX_LENGTH cuts the texts of an encoder; `passages` are a decoder's, whole.
// Each line in, of the file or of standard input, is a JSON string; each line out is the array of
// its ids.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const [file, maxLength, texts] = process.argv.slice(2);
const sources = join(dirname(fileURLToPath(import.meta.url)), "../packages/sdk/src");
const { outputFiles } = await build({
  stdin: {
    contents: `export { TextTokenizer } from "./tokens.ts"; export { openLanguageTokens } from "./language_tokens.ts";`,
    resolveDir: sources,
  },
  bundle: true,
  write: false,
  platform: "node",
  format: "esm",
  target: "node20",
});
const { TextTokenizer, openLanguageTokens } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const json = readFileSync(file);
const read = maxLength === "passages" ? passages(openLanguageTokens({}, json, { files: "hugging_face" })) : cut(new TextTokenizer(json, Number(maxLength)));
const lines = readFileSync(texts ?? process.stdin.fd, "utf8").split("\n");
for (const line of lines.filter((line) => line !== "")) console.log(JSON.stringify(read(JSON.parse(line))));

function passages(tokens) {
  return (text) => tokens.encode(text);
}

function cut(tokenizer) {
  return (text) => [...tokenizer.pack([text]).tokens];
}
