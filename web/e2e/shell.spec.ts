// What is around every page: navigation, keyboard, languages, themes, the first load, a lost server.
import { addJob } from './api'
import { expect, test } from './base'
import { startServer } from './server'

test('the language is switched, and remembered', async ({ page }) => {
  await page.goto('/#/jobs')
  await expect(page.getByRole('heading', { name: 'Jobs', exact: true })).toBeVisible()
  await page.getByRole('button', { name: '切换到中文', exact: true }).first().click()
  await expect(page.getByRole('heading', { name: '任务', exact: true })).toBeVisible()
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN')
  await expect(page).toHaveTitle('任务 · TimerJobs')
  await page.reload()
  await expect(page.getByRole('heading', { name: '任务', exact: true })).toBeVisible()
})

test('what the server says is in the language of the page', async ({ page, watch }) => {
  watch.allowStatus(422)
  await page.goto('/#/jobs/new')
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('x')
  await page.getByLabel('Cron expression').fill('0 30 2 * * *')
  const words = page.locator('.aside .words')
  await expect(words).toContainText(/02:30|2:30/)
  const english = await words.textContent()
  await page.getByRole('button', { name: '切换到中文', exact: true }).first().click()
  await expect(words).not.toHaveText(english ?? '')
  await expect(words).toContainText(/[\u4e00-\u9fff]/)
})

test.describe('a browser in Chinese', () => {
  test.use({ locale: 'zh-CN' })
  test('gets a Chinese page', async ({ page }) => {
    await page.goto('/')
    await expect(page.getByRole('link', { name: '总览', exact: true }).first()).toBeVisible()
  })
})

test('light and dark follow the system until one is chosen', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.goto('/#/settings')
  const html = page.locator('html')
  await expect(html).toHaveAttribute('data-theme', 'dark')
  await page.emulateMedia({ colorScheme: 'light' })
  await expect(html).toHaveAttribute('data-theme', 'light')
  await page.getByRole('button', { name: 'Theme: system', exact: true }).first().click()
  await page.getByRole('button', { name: 'Theme: light', exact: true }).first().click()
  await expect(html).toHaveAttribute('data-theme', 'dark')
  await page.reload()
  await expect(html).toHaveAttribute('data-theme', 'dark')
})

test('the keyboard leads: / searches, n makes a job, ? helps, g goes', async ({ page, server }) => {
  await addJob(server, 'found by keys')
  await page.goto('/')
  await expect(page.getByRole('heading', { name: 'Overview', exact: true })).toBeVisible()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog').getByText('Keyboard shortcuts')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await page.keyboard.press('/')
  await expect(page.getByRole('searchbox')).toBeFocused()
  await page.keyboard.type('found n/?')
  await expect(page, 'keys in a field are text').toHaveURL(/q=found/)
  await page.keyboard.press('Escape')
  await page.keyboard.press('n')
  await expect(page.getByRole('heading', { name: 'New job', exact: true })).toBeVisible()
  await page.keyboard.press('g')
  await page.keyboard.press('r')
  await expect(page.getByRole('heading', { name: 'Runs', exact: true })).toBeVisible()
})

test('the page can be walked by tab, beginning with a way past the menu', async ({ page }) => {
  await page.goto('/#/jobs/new')
  await expect(page.getByRole('heading', { name: 'New job', exact: true })).toBeVisible()
  await page.locator('body').press('Tab')
  await expect(page.getByText('Skip to content')).toBeFocused()
  await page.keyboard.press('Enter')
  await expect(page.locator('main')).toBeFocused()
  await page.keyboard.press('Tab')
  await expect(page.getByRole('link', { name: 'Cancel', exact: true })).toBeFocused()
})

test('the first load is small, packed and from here', async ({ page, server }) => {
  const client = await page.context().newCDPSession(page)
  await client.send('Network.enable')
  const sizes = new Map<string, number>()
  const scripts = new Set<string>()
  client.on('Network.responseReceived', ({ requestId, type }) => type === 'Script' && scripts.add(requestId))
  client.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength))
  await page.goto('/')
  await expect(page.getByRole('heading').first()).toBeVisible()
  const total = [...scripts].reduce((sum, id) => sum + (sizes.get(id) ?? 0), 0)
  expect(total).toBeGreaterThan(20_000)
  expect(total, 'gzipped JavaScript of the first load').toBeLessThan(350_000)
  const answer = await page.request.get(server.url)
  expect(answer.headers()['content-security-policy']).toContain("default-src 'self'")
})

test('a server that goes away is said, and its return mends the page', async ({ page, watch }) => {
  watch.allowNetworkErrors()
  const server = await startServer()
  watch.allowOrigin(server.url)
  await addJob(server, 'still here')
  await page.goto(`${server.url}/#/jobs`)
  await expect(page.getByText('still here')).toBeVisible()
  const again = await server.restart(async () => {
    await expect(page.getByText('The connection to the server is lost')).toBeVisible({ timeout: 15_000 })
    await expect(page.getByText('still here'), 'what was read stays').toBeVisible()
  })
  try {
    await expect(page.getByText('The connection to the server is lost')).toHaveCount(0, { timeout: 20_000 })
    await addJob(again, 'made after it')
    await expect(page.getByText('made after it')).toBeVisible()
  } finally {
    await again.stop()
  }
})
