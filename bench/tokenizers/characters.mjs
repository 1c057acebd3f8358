// characters yields every one of Unicode, surrogates left out.
export function* characters() {
  for (let c = 0; c < 0x110000; c++) if (c < 0xd800 || c >= 0xe000) yield String.fromCodePoint(c)
}

// ranges is the source of a Go constant: the characters of which has is true, as
// hexadecimal numbers and ranges of them.
export function ranges(name, comment, has) {
  const found = []
  for (const s of characters()) {
    if (!has(s)) continue
    const c = s.codePointAt(0)
    const last = found.at(-1)
    if (last && last[1] === c - 1) last[1] = c
    else found.push([c, c])
  }
  let text = `// ${comment}\nconst ${name} = \``
  let column = 0
  for (const [lo, hi] of found) {
    const one = lo === hi ? lo.toString(16) : lo.toString(16) + '-' + hi.toString(16)
    if (column + one.length > 110) { text += '\n'; column = 0 }
    else if (column > 0) { text += ' '; column++ }
    text += one
    column += one.length
  }
  return text + '`\n'
}
