/* What a person would find wrong with a page, measured; `looks(onPaper)` returns it in words. */
(() => {
  const words = each => `${each.tagName.toLowerCase()}${each.className && each.className.baseVal === undefined ? "." + each.className : ""} "${(each.textContent || each.value || "").trim().slice(0, 40)}"`;
  const shownIn = each => { const box = each.getBoundingClientRect(); return box.width > 0 && box.height > 0; };
  const parse = text => {
    const numbers = /^rgba?\(([^)]*)\)$/.exec(text);
    if (!numbers) return null;
    const [r, g, b, a = 1] = numbers[1].split(/[ ,/]+/).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => top.slice(0, 3).map((value, place) => value * top[3] + below[place] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  /* what lies below an element: its parents, or for one that floats whatever is there */
  function belowOf(each) {
    const floats = [];
    for (let node = each; node; node = node.parentElement) if (["absolute", "fixed"].includes(getComputedStyle(node).position)) floats.push(node);
    if (!floats.length) return parents(each);
    const box = each.getBoundingClientRect();
    const there = document.elementsFromPoint(box.left + box.width / 2, box.top + box.height / 2).filter(node => node === each || !each.contains(node));
    return there.length ? [each, ...floats, ...there] : parents(each);
  }
  function parents(each) {
    const found = [];
    for (let node = each; node; node = node.parentElement) found.push(node);
    return found;
  }
  function background(each) {
    const layers = [];
    for (const node of belowOf(each)) {
      const style = getComputedStyle(node), fill = node instanceof SVGElement ? style.fill : style.backgroundColor;
      const color = parse(fill);
      if (!color || !color[3]) continue;
      const own = node instanceof SVGElement ? Number(style.opacity) : 1;
      layers.push([color[0], color[1], color[2], color[3] * own]);
      if (color[3] * own === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  }
  const opacity = each => parents(each).reduce((product, node) => product * Number(getComputedStyle(node).opacity), 1);

  function readable(each, color, problems, what) {
    const style = getComputedStyle(each), ink = parse(color), below = background(each);
    if (!ink) { problems.push(`colour not understood: ${color}`); return; }
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const has = contrast(over([ink[0], ink[1], ink[2], ink[3] * opacity(each)], below), below);
    if (has < least - 0.005) problems.push(`contrast ${has.toFixed(2)} of ${least}: ${what} ${words(each)}`);
  }

  window.looks = onPaper => {
    const problems = [], wide = document.documentElement.clientWidth, root = document.documentElement;
    let texts = 0, boxes = 0;
    if (root.scrollWidth > wide) problems.push(`overflow: the page is ${root.scrollWidth} wide in ${wide}`);
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const each = walk.currentNode.parentElement, style = getComputedStyle(each);
      if (!walk.currentNode.textContent.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(each.tagName)) continue;
      if (!shownIn(each) || style.visibility !== "visible" || each.closest("[hidden], :disabled")) continue;
      texts += 1;
      runsOver(walk.currentNode, each, wide, onPaper, problems);
      readable(each, style.color, problems, "text");
    }
    for (const each of document.querySelectorAll("input, select")) {
      if (!shownIn(each)) continue;
      readable(each, getComputedStyle(each).color, problems, "field");
      if (each.placeholder) readable(each, getComputedStyle(each, "::placeholder").color, problems, "placeholder");
    }
    for (const each of document.body.querySelectorAll("*")) {
      if (!shownIn(each) || each.closest("svg svg, svg *, [hidden], option")) continue;
      boxes += 1;
      const style = getComputedStyle(each), box = each.getBoundingClientRect();
      const scrolls = each.parentElement.closest(".scroll");
      const inPlace = scrolls && !onPaper;
      if (!inPlace && (box.right > wide + 0.5 || box.left < -0.5)) problems.push(`sticks out: ${words(each)}`);
      const isCut = each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0;
      if (isCut && /hidden|clip/.test(style.overflowX)) problems.push(`cut off: ${words(each)}`);
      if (isCut && onPaper && /auto|scroll/.test(style.overflowX)) problems.push(`cut off on paper: ${words(each)}`);
      if (each.scrollHeight > each.clientHeight + 1 && each.clientHeight > 0 && /hidden|clip/.test(style.overflowY)) problems.push(`cut off below: ${words(each)}`);
      const frame = each.closest("section, .tiles div");
      if (frame && frame !== each && !inPlace && box.right > frame.getBoundingClientRect().right + 0.5) problems.push(`sticks out of its frame: ${words(each)}`);
    }
    for (const kind of ["section, header", ".tiles div", ".ticks span", ".names span", "td, th"]) overlaps([...document.querySelectorAll(kind)].filter(shownIn), problems);
    return { problems: [...new Set(problems)], texts, boxes };
  };
  /* a text may be longer than the box that it is in */
  function runsOver(text, each, wide, onPaper, problems) {
    const range = document.createRange();
    range.selectNodeContents(text);
    const right = range.getBoundingClientRect().right, cell = each.closest("td, th, dd, dt, .tiles div, section");
    if ((onPaper || !each.closest(".scroll")) && right > wide + 0.5) problems.push(`sticks out: ${words(each)}`);
    if (cell && !each.closest(".names, .ticks") && right > cell.getBoundingClientRect().right + 0.5) problems.push(`runs over: ${words(each)}`);
  }
  function overlaps(all, problems) {
    const boxes = all.map(each => [each, each.getBoundingClientRect()]).sort((a, b) => a[1].top - b[1].top);
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const [one, a] = boxes[i], [other, b] = boxes[j];
      if (b.top > a.bottom - 0.5) break;
      if (one.contains(other) || other.contains(one)) continue;
      if (a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5) problems.push(`overlap: ${words(one)} and ${words(other)}`);
    }
  }
  return true;
})();
