// What an origin keeps in the browser, looked at from one of its pages.

/** The names of everything that is stored: caches, databases, files of the origin, local storage. */
export function storedIn(page) {
  return page.evaluate(async () => {
    const files = [];
    for await (const name of (await navigator.storage.getDirectory()).keys()) files.push(name);
    const databases = (await indexedDB.databases()).map(({ name }) => name);
    return { caches: await caches.keys(), databases, files, local: Object.keys(localStorage) };
  });
}
