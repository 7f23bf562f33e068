/** What this extension uses of the browser's interface, and nothing more. */

interface ChromeEvent<Listener> {
  addListener(listener: Listener): void;
}

interface ChromePort {
  readonly name: string;
  readonly onMessage: ChromeEvent<(message: unknown) => void>;
  readonly onDisconnect: ChromeEvent<() => void>;
  postMessage(message: unknown): void;
}

interface ChromeMenuClick {
  readonly menuItemId: string | number;
  readonly selectionText?: string;
  readonly pageUrl?: string;
  /** Of the frame that was clicked in, where that is not the page itself. */
  readonly frameUrl?: string;
}

interface ChromeTab {
  readonly id?: number;
  readonly url?: string;
}

declare const chrome: {
  readonly runtime: {
    readonly onInstalled: ChromeEvent<() => void>;
    readonly onConnect: ChromeEvent<(port: ChromePort) => void>;
    readonly onMessage: ChromeEvent<
      (message: unknown, sender: unknown, reply: (answer: unknown) => void) => boolean | undefined
    >;
    readonly lastError?: { readonly message?: string };
    connect(options: { readonly name: string }): ChromePort;
    sendMessage(message: unknown): Promise<unknown>;
    getURL(path: string): string;
    getContexts(filter: { readonly contextTypes: readonly string[] }): Promise<readonly unknown[]>;
  };
  readonly storage: {
    readonly local: {
      get(defaults: object): Promise<Record<string, unknown>>;
      set(values: object): Promise<void>;
      clear(): Promise<void>;
    };
    readonly onChanged: ChromeEvent<() => void>;
  };
  readonly contextMenus: {
    readonly onClicked: ChromeEvent<(click: ChromeMenuClick, tab?: ChromeTab) => void>;
    create(item: { readonly id: string; readonly title: string; readonly contexts: readonly string[]; readonly parentId?: string }): void;
    removeAll(): Promise<void>;
  };
  readonly action: {
    setBadgeText(badge: { readonly text: string }): Promise<void>;
  };
  readonly offscreen: {
    createDocument(document: { readonly url: string; readonly reasons: readonly string[]; readonly justification: string }): Promise<void>;
    closeDocument(): Promise<void>;
  };
  readonly tabs: {
    query(filter: { readonly active: boolean; readonly currentWindow: boolean }): Promise<readonly ChromeTab[]>;
  };
  readonly scripting: {
    executeScript<Arguments extends readonly unknown[], Result>(injection: {
      readonly target: { readonly tabId: number };
      readonly func: (...given: Arguments) => Result;
      readonly args: Arguments;
    }): Promise<readonly { readonly result?: Result | null }[]>;
  };
};
