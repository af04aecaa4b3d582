// What has no name, no label, or an id twice; headings that leave a level out. The body of a function.
const shown = (one) => one.checkVisibility();
const words = (one, name) => (one.getAttribute(name) || '').split(' ').filter(Boolean);
const name = (one) => (one.getAttribute('aria-label')
  || words(one, 'aria-labelledby').map((id) => document.getElementById(id)?.textContent || '').join('')
  || [...(one.labels || [])].map((label) => label.textContent).join('')
  || one.textContent || one.alt || '').trim();
const faults = [];
const named = 'button, a[href], input, select, textarea, dialog, summary, [role=img], section';
for (const one of document.querySelectorAll(named))
  if (shown(one) && !name(one)) faults.push(`no name: ${one.outerHTML.slice(0, 120)}`);
for (const one of document.querySelectorAll('img')) if (!one.hasAttribute('alt')) faults.push('an image without alt');
const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
faults.push(...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `twice: ${id}`));
for (const one of document.querySelectorAll('[aria-describedby], [aria-labelledby]'))
  for (const id of [...words(one, 'aria-describedby'), ...words(one, 'aria-labelledby')])
    if (!document.getElementById(id)) faults.push(`names nothing: ${id}`);
let level = 0;
for (const one of document.querySelectorAll('h1, h2, h3, h4')) {
  if (!shown(one)) continue;
  if (Number(one.tagName[1]) > level + 1) faults.push(`heading after h${level}: ${one.outerHTML}`);
  level = Number(one.tagName[1]);
}
for (const css of ['header', 'main', 'h1', 'html[lang]', '[role=status]'])
  if (document.querySelectorAll(css).length < 1) faults.push(`without ${css}`);
if (document.querySelector('[tabindex]:not([tabindex="-1"]):not([tabindex="0"])'))
  faults.push('a tab order of its own');
return faults;
