// Builds and changes the page: text is only ever text, and what has not changed is not touched.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Make an element; attributes that are null or false are left out, children are nodes or texts. */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Write a text where another stands. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put nodes in the place of others, unless the same was put there the last time. */
export function put(parent, what, make) {
  const mark = JSON.stringify(what);
  if (parent.dataset.mark === mark) return;
  parent.dataset.mark = mark;
  parent.replaceChildren(...[make(what)].flat().filter(Boolean));
}

const due = new Set();

/** Have something done once before the page is drawn next, however often it is asked for until then. */
export function soon(what) {
  if (!due.size) {
    requestAnimationFrame(() => {
      const now = [...due];
      due.clear();
      now.forEach((each_) => each_());
    });
  }
  due.add(what);
}

/** Keep one child for each item, in their order; a child stays the same element as long as its item is there. */
export function each(parent, items, keyOf, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const gone of known.values()) gone.remove();
}
