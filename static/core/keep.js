// What this browser keeps over a reload, beside its settings: the last known state, and actions that wait for a
// connection. No secret is among it. Where there is no IndexedDB (a private window) nothing is kept, and
// everything else goes on.

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('tether', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('kept');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('blocked'));
  });
  return opened;
}

async function run(mode, act) {
  try {
    const store = (await database()).transaction('kept', mode).objectStore('kept');
    return await new Promise((resolve, reject) => {
      const request = act(store);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}

export const recall = (key) => run('readonly', (store) => store.get(key));
export const keep = (key, value) => run('readwrite', (store) => store.put(value, key));
export const forget = (key) => run('readwrite', (store) => store.delete(key));
export const forgetAll = () => run('readwrite', (store) => store.clear());
