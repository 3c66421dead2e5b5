// What belongs to whoever is logged in: tokens for programs, sessions, the password.
import { barriers } from './axe'
import { expect, test, type Page } from './base'
import { startServer, type Server } from './server'

const PASSWORD = 'correct horse'
const NEW_PASSWORD = 'battery staple'
const MARKUP = '<img src=x onerror=window.pwned=1>'

/** A server with an admin `me` and a viewer `guest`; `me` is logged in on the page. */
async function begin(page: Page, watch: { allowOrigin: (url: string) => void }): Promise<Server> {
  const server = await startServer()
  watch.allowOrigin(server.url)
  for (const [username, role] of [['me', 'admin'], ['guest', 'viewer']]) {
    const made = await page.request.post(`${server.url}/api/v1/accounts`, { data: { username, password: PASSWORD, role }, headers: { Origin: server.url } })
    expect(made.status(), await made.text()).toBe(201)
  }
  await page.goto(`${server.url}/#/account`)
  await expect(page.getByRole('heading', { name: 'Account', exact: true })).toBeVisible()
  return server
}
async function logIn(server: Server, password: string, username = 'me'): Promise<string> {
  const answer = await fetch(`${server.url}/api/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username, password }) })
  expect(answer.status).toBe(200)
  return answer.headers.get('set-cookie')?.split(';')[0] ?? ''
}
const status = async (server: Server, headers: Record<string, string>, method = 'GET', path = '/jobs') => (await fetch(`${server.url}/api/v1${path}`, { method, headers })).status
const panel = (page: Page, title: string) => page.locator('.panel').filter({ has: page.getByRole('heading', { name: title, exact: true }) })

test('a token is shown once, works, and is revoked', async ({ page, context, watch }) => {
  const server = await begin(page, watch)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url })
  const tokens = panel(page, 'API tokens')
  await expect(tokens.getByText('No API tokens')).toBeVisible()
  await tokens.getByLabel('Token name').fill(`${MARKUP} backup`)
  await tokens.getByLabel('Role').selectOption('operator')
  await tokens.getByLabel('Valid for').selectOption('30 days')
  await tokens.getByRole('button', { name: 'Make token', exact: true }).click()
  const made = page.getByRole('region', { name: /^The token/ })
  // The reader is taken to it.
  await expect(made).toBeFocused()
  await expect(made).toContainText('cannot be shown again')
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme as 'light' | 'dark' })
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
    expect(await barriers(page), theme).toEqual([])
  }
  const token = (await made.locator('code').first().textContent()) ?? ''
  expect(token).toMatch(/^tjt_[\w-]{20,}$/)
  await made.getByRole('button', { name: 'Copy token', exact: true }).click()
  await expect(page.locator('.toast')).toContainText('Copied')
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(token)
  await expect(made.locator('code').last()).toHaveText(`curl -H 'Authorization: Bearer ${token}' ${server.url}/api/v1/jobs`)

  const bearer = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  expect(await status(server, bearer)).toBe(200)
  // Its role is the one that was chosen, not its maker's.
  expect(await status(server, bearer, 'GET', '/accounts')).toBe(403)

  await made.getByRole('button', { name: 'I have it', exact: true }).click()
  await page.reload()
  const row = tokens.getByRole('row', { name: /backup/ })
  await expect(row).toContainText('Operator')
  await expect(row).not.toContainText('never')
  expect(await page.content(), 'it is told once').not.toContain(token)
  await row.getByRole('button', { name: /^Revoke token/ }).click()
  const question = page.getByRole('alertdialog')
  await question.getByRole('button', { name: 'Cancel', exact: true }).click()
  expect(await status(server, bearer)).toBe(200)
  await row.getByRole('button', { name: /^Revoke token/ }).click()
  await question.getByRole('button', { name: 'Revoke', exact: true }).click()
  await expect(tokens.getByText('No API tokens')).toBeVisible()
  expect(await status(server, bearer)).toBe(401)
  await page.goto('about:blank')
  await server.stop()
})

test('where the browser has no clipboard a token is copied all the same', async ({ page, context, watch }) => {
  // As on a plain http address of the network.
  await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }))
  const server = await begin(page, watch)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url })
  await page.getByLabel('Token name').fill('ci')
  await page.getByRole('button', { name: 'Make token', exact: true }).click()
  const token = (await page.getByRole('region', { name: /^The token/ }).locator('code').first().textContent()) ?? ''
  await page.getByRole('button', { name: 'Copy token', exact: true }).click()
  await expect(page.locator('.toast')).toContainText('Copied')
  await page.getByLabel('Token name').press('Control+v')
  await expect(page.getByLabel('Token name')).toHaveValue(token)
  await page.goto('about:blank')
  await server.stop()
})

test('a session elsewhere is seen and ended', async ({ page, watch }) => {
  const server = await begin(page, watch)
  const [first, second] = [await logIn(server, PASSWORD), await logIn(server, PASSWORD)]
  const elsewhere = await logIn(server, PASSWORD, 'guest')
  await page.reload()
  const sessions = panel(page, 'Sessions')
  await expect(sessions.locator('tbody tr')).toHaveCount(3)
  const own = sessions.getByRole('row', { name: /this one/ })
  await expect(own).toHaveCount(1)
  await expect(own.getByRole('button'), 'one leaves by logging out').toHaveCount(0)
  await sessions.getByRole('button', { name: /^End the session from 127.0.0.1/ }).first().click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'End session', exact: true }).click()
  await expect(sessions.locator('tbody tr')).toHaveCount(2)
  const left = async () => [await status(server, { Cookie: first }), await status(server, { Cookie: second })].sort()
  expect(await left()).toEqual([200, 401])

  await logIn(server, PASSWORD)
  await page.reload()
  await expect(sessions.locator('tbody tr')).toHaveCount(3)
  await sessions.getByRole('button', { name: 'End all others', exact: true }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'End session', exact: true }).click()
  await expect(sessions.locator('tbody tr')).toHaveCount(1)
  expect(await left()).toEqual([401, 401])
  expect(await status(server, { Cookie: elsewhere }), 'nobody else is touched').toBe(200)
  // And by logging out the last one goes.
  await page.locator('main').getByRole('button', { name: 'Log out', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Log in', exact: true })).toBeVisible()
  await page.goto('about:blank')
  await server.stop()
})

test('a changed password ends all else, and this session goes on', async ({ page, watch }) => {
  watch.allowStatus(422)
  const server = await begin(page, watch)
  const elsewhere = await logIn(server, PASSWORD)
  const form = panel(page, 'Password')
  const change = async (old: string, fresh: string, again: string) => {
    await form.getByLabel('Password as it is').fill(old)
    await form.getByLabel('New password', { exact: true }).fill(fresh)
    await form.getByLabel('New password, again').fill(again)
    await form.getByRole('button', { name: 'Change password', exact: true }).click()
  }
  await expect(form).toContainText('All your other sessions end')
  await change(PASSWORD, NEW_PASSWORD, 'something else')
  await expect(form.getByText('not the same')).toBeVisible()
  await expect(form.getByLabel('New password, again')).toBeFocused()
  await change('a wrong one', NEW_PASSWORD, NEW_PASSWORD)
  await expect(form.getByText('old password is wrong')).toBeVisible()
  await expect(form.getByLabel('Password as it is')).toBeFocused()
  await change(PASSWORD, 'short', 'short')
  await expect(form.getByLabel('New password', { exact: true })).toHaveAttribute('aria-invalid', 'true')
  expect(await status(server, { Cookie: elsewhere })).toBe(200)

  await change(PASSWORD, NEW_PASSWORD, NEW_PASSWORD)
  await expect(page.locator('.toast').filter({ hasText: 'The password is changed' })).toBeVisible()
  await expect(form.getByLabel('New password', { exact: true })).toHaveValue('')
  expect(await status(server, { Cookie: elsewhere })).toBe(401)
  await expect(panel(page, 'Sessions').locator('tbody tr')).toHaveCount(1)
  await page.reload()
  await expect(page.getByRole('heading', { name: 'Account', exact: true })).toBeVisible()
  await logIn(server, NEW_PASSWORD)
  await page.goto('about:blank')
  await server.stop()
})

test('a viewer has an account page, and offers no more than their role', async ({ page, watch }) => {
  const server = await begin(page, watch)
  await page.locator('main').getByRole('button', { name: 'Log out', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Log in', exact: true })).toBeVisible()
  await page.getByLabel('User name').fill('guest')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Log in', exact: true }).click()
  await page.locator('.side').getByRole('link', { name: /^Account: guest/ }).click()
  await expect(page).toHaveTitle('Account · TimerJobs')
  await expect(page.getByLabel('Role').locator('option')).toHaveText(['Viewer'])
  await page.getByLabel('Token name').fill('screen')
  await page.getByLabel('Valid for').selectOption('without end')
  await page.getByRole('button', { name: 'Make token', exact: true }).click()
  await expect(page.getByRole('region', { name: /^The token/ })).toBeVisible()
  await expect(page.getByRole('row', { name: /screen/ })).toContainText('without end')
  // On a phone the way to it is above, and all of it fits.
  await page.setViewportSize({ width: 390, height: 800 })
  await page.goto(`${server.url}/#/`)
  await page.locator('.topbar').getByRole('link', { name: /^Account/ }).click()
  await expect(page.getByRole('heading', { name: 'Account', exact: true })).toBeVisible()
  await expect(page.getByRole('row', { name: /screen/ })).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  await page.goto('about:blank')
  await server.stop()
})

test('without accounts the page says where they are made', async ({ page }) => {
  await page.goto('/#/account')
  await expect(page.getByText('Nobody is logged in')).toBeVisible()
  await page.locator('main').getByRole('link', { name: 'Settings', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Accounts', exact: true })).toBeVisible()
})
