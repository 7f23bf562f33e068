// Pieces of a text in what left a browser: as it is, in UTF-16, in hex, in base64 and as a part of an
// address. What the whole path is searched for, token ids and updates too, is in xtask's privacy suite.

/** Characters of a text that are looked for at once: random bytes have none of its pieces. */
const PIECE = 16;

/** The first piece of `text` that is in `bytes`, in whatever form; `null` where there is none. */
export function traceOf(text, bytes) {
  for (let at = 0; at + PIECE <= text.length; at += PIECE) {
    const piece = text.slice(at, at + PIECE);
    const form = formsOf(piece).find(({ sought }) => sought.length > 0 && bytes.includes(sought));
    if (form) return `${form.name} of "${piece}"`;
  }
  return null;
}

function formsOf(piece) {
  const plain = Buffer.from(piece);
  const little = Buffer.from(piece, "utf16le");
  const address = encodeURIComponent(piece);
  const hex = plain.toString("hex");
  return [
    { name: "text", sought: plain },
    { name: "JSON", sought: Buffer.from(JSON.stringify(piece).slice(1, -1)) },
    { name: "UTF-16 text", sought: little },
    { name: "UTF-16 text", sought: Buffer.from(little).swap16() },
    { name: "hex text", sought: Buffer.from(hex) },
    { name: "hex text", sought: Buffer.from(hex.toUpperCase()) },
    { name: "escaped text", sought: Buffer.from(address) },
    { name: "form text", sought: Buffer.from(address.replaceAll("%20", "+")) },
    ...[0, 1, 2].map((phase) => ({ name: "base64 text", sought: wholeGroups(plain.subarray(phase)) })),
  ];
}

/** Base64 without the end, which depends on what follows. */
function wholeGroups(bytes) {
  return Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 3)).toString("base64"));
}

/** What the pages of an origin asked the network for, by the browser's own log: the addresses. */
export function askedBy(origin, log) {
  const events = log.split("\n").map((line) => {
    try {
      return JSON.parse(line.replace(/[,\]]+$/, ""));
    } catch {
      return null;
    }
  });
  const asked = events.filter((event) => event?.params?.initiator === origin && typeof event.params.url === "string");
  return asked.map(({ params }) => params.url);
}
