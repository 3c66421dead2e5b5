// The audit log: what was done, by whom, what it changed; filters that a link keeps; downloads.
import { readFileSync } from 'node:fs'
import { barriers } from './axe'
import { expect, test, type Page } from './base'
import { startServer, type Server } from './server'

const PASSWORD = 'correct horse'
const MARKUP = '<img src=x onerror=window.pwned=1>'

interface Job {
  id: number
  version: number
}

/** A server with an admin `me`, as whom the page and its requests are logged in. */
async function begin(page: Page, watch: { allowOrigin: (url: string) => void }): Promise<Server> {
  const server = await startServer()
  watch.allowOrigin(server.url)
  await call(page, server, 'POST', '/accounts', { username: 'me', password: PASSWORD, role: 'admin' })
  return server
}
async function call<T>(page: Page, server: Server, method: string, path: string, data?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const answer = await page.request.fetch(`${server.url}/api/v1${path}`, { method, headers, ...(data === undefined ? {} : { data }) })
  expect(answer.ok(), `${method} ${path}: ${answer.status()}`).toBe(true)
  return (answer.status() === 204 ? undefined : await answer.json()) as T
}
const addJob = (page: Page, server: Server, name: string) =>
  call<Job>(page, server, 'POST', '/jobs', { name, description: '', trigger: { type: 'cron', cron: '0 0 0 1 1 *', timezone: null }, mode: 'command', command: '【command】echo one', enabled: true })
const rows = (page: Page) => page.locator('table.log > tbody > tr:not(.more)')

test('what is done stands in the log, the newest first, with what it changed', async ({ page, watch }) => {
  const server = await begin(page, watch)
  const job = await addJob(page, server, `audited ${MARKUP}`)
  await call(page, server, 'PATCH', `/jobs/${job.id}`, { command: '【command】echo two', overlap: 'skip' }, { 'If-Match': `"${job.version}"` })
  await call(page, server, 'PUT', '/secrets/AUDITED', { value: 'hunter-audit' })
  const refused = await fetch(`${server.url}/api/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'me', password: 'wrong horse' }) })
  expect(refused.status).toBe(401)

  const answers: string[] = []
  page.on('response', async (answer) => {
    if (answer.url().includes('/api/v1/audit')) answers.push(await answer.text().catch(() => ''))
  })
  await page.goto(`${server.url}/#/settings`)
  await page.getByRole('navigation', { name: 'Settings', exact: true }).getByRole('link', { name: 'Audit log', exact: true }).click()
  await expect(page).toHaveTitle('Audit log · TimerJobs')
  await expect(rows(page).first()).toContainText('Login refused')
  await expect(rows(page).first()).toContainText('127.0.0.1')
  await expect(rows(page).nth(1)).toContainText('Secret added')
  await expect(rows(page).nth(1)).toContainText('AUDITED')
  const edit = rows(page).filter({ hasText: 'job.edit' })
  await expect(edit).toContainText('me')
  await expect(edit).toContainText('Admin')
  await expect(edit).toContainText(`audited ${MARKUP}`)

  // By the keyboard too.
  const details = edit.getByRole('button', { name: 'What changed', exact: true })
  await expect(details).toHaveAttribute('aria-expanded', 'false')
  await details.press('Enter')
  await expect(details).toHaveAttribute('aria-expanded', 'true')
  const diff = page.locator('table.diff')
  const command = diff.getByRole('row', { name: /^command/ })
  await expect(command.locator('td').first()).toHaveText('【command】echo one')
  await expect(command.locator('td').last()).toHaveText('【command】echo two')
  await expect(diff.getByRole('row', { name: /^overlap/ })).toContainText('skip')
  await expect(diff.getByRole('row', { name: /^description/ }), 'what stayed is not named').toHaveCount(0)
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme })
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
    expect(await barriers(page), theme).toEqual([])
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await expect(edit).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  await page.setViewportSize({ width: 1280, height: 800 })
  await details.click()
  await expect(diff).toHaveCount(0)
  // What must never stand in it.
  expect(answers.some((text) => text.includes('AUDITED'))).toBe(true)
  expect(answers.filter((text) => /hunter-audit|correct horse|wrong horse|argon2/.test(text))).toEqual([])

  await edit.getByRole('link', { name: /^audited/ }).click()
  await expect(page.getByRole('heading', { name: /^audited/ })).toBeVisible()
  await page.goto('about:blank')
  await server.stop()
})

test('a link keeps the filters', async ({ page, watch }) => {
  const server = await begin(page, watch)
  const job = await addJob(page, server, 'kept by a link')
  await addJob(page, server, 'another')
  await call(page, server, 'DELETE', `/jobs/${job.id}`, undefined, { 'If-Match': '*' })
  await page.goto(`${server.url}/#/settings/audit`)
  const all = rows(page).filter({ hasText: 'account.add' })
  await expect(all).toHaveCount(1)
  await page.getByLabel('Action').selectOption('Jobs: all')
  await expect(page).toHaveURL(/action=job\./)
  await expect(all).toHaveCount(0)
  await expect(rows(page)).toHaveCount(3)
  await page.getByRole('searchbox', { name: 'Search what it was done with', exact: true }).fill('kept by')
  await expect(page).toHaveURL(/q=kept/)
  await expect(rows(page)).toHaveCount(2)
  // What is gone leads nowhere.
  await expect(rows(page).filter({ hasText: 'job.delete' }).getByRole('link')).toHaveCount(0)
  await page.reload()
  await expect(rows(page)).toHaveCount(2)
  await expect(page.getByLabel('Action')).toHaveValue('job.')
  await page.getByLabel('Time range').selectOption('Last hour')
  await expect(rows(page)).toHaveCount(2)
  await page.getByRole('button', { name: 'Clear filters', exact: true }).click()
  await expect(page).toHaveURL(/#\/settings\/audit$/)
  await expect(all).toHaveCount(1)
  // Another link to the page one is on.
  await page.goto(`${server.url}/#/settings/audit?action=account.&actor=nobody-here`)
  await expect(page.getByText('Nothing matches')).toBeVisible()
  await expect(page.getByRole('searchbox', { name: 'Account', exact: true })).toHaveValue('nobody-here')
  await page.getByRole('searchbox', { name: 'Account', exact: true }).fill('')
  await expect(rows(page)).toHaveCount(1)
  await page.goto(`${server.url}/#/settings/audit?action=${encodeURIComponent(MARKUP)}&span=custom&from=never`)
  await expect(page.getByText('Nothing matches')).toBeVisible()
  await page.goto(`${server.url}/#/settings/audit`)
  await rows(page).filter({ hasText: 'job.delete' }).getByRole('button', { name: 'me', exact: true }).click()
  await expect(page).toHaveURL(/actor=me/)
  await expect(rows(page).filter({ hasText: 'job.delete' })).toBeVisible()
  await page.goto('about:blank')
  await server.stop()
})

test('what the filters let through is downloaded', async ({ page, watch }) => {
  const server = await begin(page, watch)
  await addJob(page, server, 'taken away')
  await page.goto(`${server.url}/#/settings/audit?action=job.add`)
  await expect(rows(page)).toHaveCount(1)
  for (const [format, first] of [['CSV', /^id,at,actor,.*\n\d+,/], ['JSONL', /^\{.*"action":"job.add"/]] as const) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: `Download as ${format}` }).click()])
    expect(download.suggestedFilename()).toMatch(new RegExp(`\\.${format.toLowerCase()}$`))
    const text = readFileSync(await download.path(), 'utf8')
    expect(text).toMatch(first)
    expect(text).toContain('taken away')
    expect(text).not.toContain('account.add')
  }
  await page.goto('about:blank')
  await server.stop()
})

test('older entries are on pages behind', async ({ page, watch }) => {
  const server = await begin(page, watch)
  for (let n = 1; n <= 27; n++) await addJob(page, server, `many ${n}`)
  await page.goto(`${server.url}/#/settings/audit?action=job.add`)
  await expect(rows(page)).toHaveCount(25)
  await expect(rows(page).first()).toContainText('many 27')
  await page.getByRole('button', { name: 'Older', exact: true }).click()
  await expect(rows(page)).toHaveCount(2)
  await expect(rows(page).last()).toContainText('many 1')
  await expect(page.getByRole('button', { name: 'Older', exact: true })).toBeDisabled()
  await page.getByRole('button', { name: 'Newer', exact: true }).click()
  await expect(rows(page)).toHaveCount(25)
  await page.goto('about:blank')
  await server.stop()
})

test('a server on which nothing was done says so, and viewers are told no', async ({ page, watch }) => {
  const server = await startServer()
  watch.allowOrigin(server.url)
  await page.goto(`${server.url}/#/settings/audit`)
  await expect(page.getByText('Nothing has been done yet')).toBeVisible()
  await page.goto('about:blank')
  await call(page, server, 'POST', '/accounts', { username: 'me', password: PASSWORD, role: 'admin' })
  await call(page, server, 'POST', '/accounts', { username: 'guest', password: PASSWORD, role: 'viewer' })
  await call(page, server, 'POST', '/session', { username: 'guest', password: PASSWORD })
  watch.allowStatus(403)
  await page.goto(`${server.url}/#/settings/audit`)
  await expect(page.getByRole('heading', { name: 'This could not be loaded', exact: true })).toBeVisible()
  await page.goto('about:blank')
  await server.stop()
})
