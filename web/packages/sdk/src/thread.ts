/** Entry of the training thread: hands each request to a `LocalTrainer` and answers it. */

import type { Message, Request } from "./calls.ts";
import { asChoirError } from "./errors.ts";
import { LocalTrainer } from "./local_trainer.ts";

/** What this file uses of `DedicatedWorkerGlobalScope`, which is not in the page's type library. */
interface ThreadScope {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Message): void;
}

const scope = self as unknown as ThreadScope;
const trainer = new LocalTrainer((event) => scope.postMessage({ kind: "event", event }));

scope.onmessage = ({ data }) => {
  trainer.call(data.call, data.args).then(
    (result) => scope.postMessage({ kind: "result", id: data.id, result }),
    (thrown: unknown) => {
      const { code, message } = asChoirError(thrown);
      scope.postMessage({ kind: "error", id: data.id, code, message });
    },
  );
};
