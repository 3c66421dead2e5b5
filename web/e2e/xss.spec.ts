// Foreign text stays text: names, descriptions, commands, what a run prints, what a function says of itself,
// what is searched for. Each test ends with the check of base.ts: no dialog, no marker, no broken policy, no
// request elsewhere.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addJob, ask, ranJob } from './api'
import { expect, test, type Page } from './base'

/** Ways to run a script or to load something, were it markup. */
const MARKUP = [
  '<script>window.pwned=1;alert(1)</script>',
  '<img src=x onerror="window.pwned=1;alert(2)">',
  '<svg onload=alert(3)><a href="javascript:alert(4)">x</a>',
  '"><iframe srcdoc="<script>parent.pwned=1</script>"></iframe>',
  "'-alert(5)-'{{constructor.constructor('alert(6)')()}}",
  '<style>*{background:url(http://evil.example/x)}</style><link rel=stylesheet href=//evil.example/y>',
]
const ALL = MARKUP.join(' ')

async function asText(page: Page) {
  await expect(page.locator('main')).toContainText('<script>window.pwned=1')
  const foreign = await page.evaluate(() => ({
    elements: document.querySelectorAll('main :is(iframe, script, img, object, embed, style, link)').length,
    handlers: [...document.querySelectorAll('main *')].filter((el) => el.getAttributeNames().some((name) => name.startsWith('on'))).length,
    links: [...document.querySelectorAll('a[href]')].filter((el) => /^\s*(javascript|data):/i.test(el.getAttribute('href') ?? '')).length,
  }))
  expect(foreign).toEqual({ elements: 0, handlers: 0, links: 0 })
}

test('a job of markup is text on every page that shows it', async ({ page, server }) => {
  const name = MARKUP[0]?.slice(0, 90) ?? ''
  const job = await addJob(server, name, {
    description: ALL,
    command: `【command】cat <<'END'\n${MARKUP.join('\n')}\n\u001b[31m<b>red</b>\u001b[0m\u001b]8;;javascript:alert(7)\u0007link\u001b]8;;\u0007\nEND\ncat <<'END' >&2\n${ALL}\nEND\nexit 1`,
    trigger: { type: 'interval', seconds: 900 },
  })
  const run = await ranJob(server, job.id)
  for (const path of ['/', '/jobs', `/jobs/${job.id}`, '/runs', `/runs?job=${job.id}`, `/runs/${run}`]) {
    await page.goto(`/#${path}`)
    await asText(page)
  }
  await expect(page.getByRole('log')).toContainText('<b>red</b>')
  await page.getByRole('searchbox', { name: 'Find in output', exact: true }).fill('<img src=x onerror')
  await expect(page.locator('.terminal mark').first()).toHaveText('<img src=x onerror')

  // A toast, a question and a menu show the name too.
  await page.goto('/#/jobs')
  await page.getByRole('button', { name: `Run ${name} now` }).click()
  await expect(page.locator('.toast')).toContainText('<script>')
  await page.getByRole('button', { name: `More actions for ${name}` }).click()
  await page.getByRole('menuitem', { name: 'Delete', exact: true }).click()
  await expect(page.getByRole('alertdialog')).toContainText('<script>')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel', exact: true }).click()

  await page.goto(`/#/jobs/${job.id}/edit`)
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).toHaveValue(name)
  await expect(page.getByLabel('Description')).toHaveValue(ALL)
})

test('every field of the editor takes markup as text', async ({ page, watch }) => {
  watch.allowStatus(422)
  await page.goto('/#/jobs/new')
  for (const [mode, pair] of [['HTTP request', 'Add header'], ['Shell command', 'Add variable'], ['Function', null]] as const) {
    await page.getByRole('radio', { name: new RegExp(`^${mode}`) }).check({ force: true })
    if (pair) await page.getByRole('button', { name: pair }).click()
    if (mode === 'Shell command') await page.getByText('User and limits').click()
    for (const field of await page.locator('main form :is(input:not([type]), input[inputmode], textarea)').all()) await field.fill(ALL)
    await expect(page.locator('.field .error').first()).toBeVisible()
    expect(await page.locator('main :is(script, img, iframe)').count()).toBe(0)
  }
  await page.getByRole('button', { name: '【】 text', exact: true }).click()
  await page.getByRole('textbox', { name: '【】 text', exact: true }).fill(`【${MARKUP[1]}】${ALL}\n${ALL}`)
  await expect(page.locator('.field .error').first()).toBeVisible()
  await page.getByRole('button', { name: 'Test run', exact: true }).click()
  await expect(page.locator('.toast.bad')).toBeVisible()
})

test('an HTTP answer of markup is text', async ({ page, server }) => {
  const markup = createServer((_, answer) => answer.end(`<!doctype html>${MARKUP.join('')}`)).listen(0, '127.0.0.1')
  await once(markup, 'listening')
  const { port } = markup.address() as AddressInfo
  const job = await addJob(server, 'reads html', { mode: 'http', command: `【url】http://127.0.0.1:${port}/\n【headers】X-A:${MARKUP[0]}` })
  await page.goto(`/#/runs/${await ranJob(server, job.id)}`)
  await expect(page.locator('pre', { hasText: '<!doctype html>' })).toBeVisible()
  await asText(page)
  markup.close()
})

test('a function of markup is text', async ({ page, server }) => {
  const folder = join(server.folder, 'user_funcs')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'markup.py'), `def markup(a="""${MARKUP[1]}"""):\n    """${ALL}"""\n    print("""${ALL}""")\n    return """${MARKUP[2]}"""\n`)
  writeFileSync(join(folder, 'broken.py'), `raise Exception("""${ALL}""")\n`)
  await ask(server, 'POST', '/functions/reload')
  await page.goto('/#/functions')
  await expect(page.locator('.note.bad').filter({ hasText: 'broken.py:1' })).toContainText('<script>')
  await page.getByRole('button', { name: /^markup/ }).click()
  await asText(page)
  await page.getByLabel('Arguments').fill(MARKUP[1] ?? '')
  await page.getByRole('button', { name: 'Try it', exact: true }).click()
  await expect(page.getByRole('log')).toContainText('<script>window.pwned')
  await asText(page)
})

test('searches, address entries and files of markup are text', async ({ page, server, watch }) => {
  watch.allowStatus(400, 422)
  await addJob(server, 'so that there is a list')
  for (const path of ['/jobs', '/functions', '/logs', '/settings']) {
    await page.goto(`/#${path}`)
    await page.getByRole('searchbox').first().fill(ALL)
    await page.waitForTimeout(400)
    expect(await page.locator('main :is(script, img, iframe)').count()).toBe(0)
  }
  // Also what an address brings along.
  await page.goto(`/#/jobs?q=${encodeURIComponent(ALL)}&sort=${encodeURIComponent(MARKUP[0] ?? '')}`)
  await expect(page.locator('main')).toBeVisible()
  await page.goto(`/#/${encodeURIComponent(ALL)}`)
  await expect(page.getByText('There is no such page')).toBeVisible()

  await page.goto('/#/settings')
  await page.getByRole('textbox', { name: 'IP address or CIDR block', exact: true }).first().fill(ALL)
  await page.getByRole('button', { name: 'Add', exact: true }).first().click()
  await expect(page.locator('.toast.bad')).toBeVisible()

  await page.goto('/#/jobs')
  await page.getByRole('button', { name: 'Import and export', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Import' }).click()
  await page.getByRole('textbox', { name: 'Import jobs', exact: true }).fill(JSON.stringify([{ name: MARKUP[1], mode: ALL, command: ALL, [MARKUP[0] ?? '']: 1 }]))
  await page.getByRole('button', { name: 'Check', exact: true }).click()
  await expect(page.getByRole('dialog').locator('.bad')).toContainText('<img')
  expect(await page.locator('[role=dialog] :is(script, img, iframe)').count()).toBe(0)
})

test('a line of the log of markup is text', async ({ page, server }) => {
  // A file that does not load is told in the log, with what Python says.
  mkdirSync(join(server.folder, 'user_funcs'), { recursive: true })
  writeFileSync(join(server.folder, 'user_funcs', 'logged.py'), `raise Exception("""${MARKUP[0]} logged""")\n`)
  await ask(server, 'POST', '/functions/reload')
  await page.goto('/#/logs')
  await page.getByRole('searchbox').fill('</script> logged')
  await expect(page.locator('.lines li').first()).toContainText('logged.py')
  await asText(page)
})
