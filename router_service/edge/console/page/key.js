// The key of who looks: in this tab's own store, sent as a header, never in an address.

const NAME = "llm-mesh key";

export const key = () => sessionStorage.getItem(NAME) ?? "";

export const remember = (text) => sessionStorage.setItem(NAME, text);

export const forget = () => sessionStorage.removeItem(NAME);

export function headers() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

/** The address of a path of this mesh, wherever it is mounted. */
export const address = (path) => new URL(`../${path}`, import.meta.url);
