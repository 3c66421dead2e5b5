// The first account, logging in and out, and the claim code.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, type Page } from './base'
import { startServer } from './server'

const NAME = '<b>me</b>'
const PASSWORD = 'correct horse'

async function logIn(page: Page, password: string) {
  await page.getByLabel('User name').fill(NAME)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in', exact: true }).click()
}

test('from the first account on everybody logs in', async ({ page, watch }) => {
  const server = await startServer()
  watch.allowOrigin(server.url)
  watch.allowStatus(401, 403)
  await page.goto(`${server.url}/#/settings`)
  await expect(page.getByText('Nobody has to log in yet')).toBeVisible()
  await page.getByLabel('User name').fill(NAME)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Make account', exact: true }).click()
  // Whoever makes it stays logged in, and is named as text.
  await expect(page.locator('.side .who')).toHaveText(NAME)
  // Also on a phone it fits.
  await page.setViewportSize({ width: 390, height: 800 })
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  expect(await page.locator('.panel', { hasText: 'Accounts' }).last().evaluate((panel) => panel.scrollWidth <= panel.clientWidth)).toBe(true)
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.goto(`${server.url}/#/runs`)
  await expect(page.getByRole('heading', { name: 'Runs', exact: true })).toBeVisible()
  await page.locator('.side').getByRole('button', { name: 'Log out', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Log in', exact: true })).toBeVisible()
  await expect(page.getByRole('navigation')).toHaveCount(0)
  await logIn(page, 'wrong horse')
  await expect(page.getByRole('alert')).toContainText('user name or password is wrong')
  await logIn(page, PASSWORD)
  // On the page that was asked for.
  await expect(page.getByRole('heading', { name: 'Runs', exact: true })).toBeVisible()

  // Somebody who may only look is offered nothing else.
  await page.goto(`${server.url}/#/settings`)
  await page.getByLabel('User name').fill('guest')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Make account', exact: true }).click()
  await expect(page.getByText('guest', { exact: true })).toBeVisible()
  await page.locator('.side').getByRole('button', { name: 'Log out', exact: true }).click()
  // The page that is left has a field of that name too.
  await expect(page.getByRole('heading', { name: 'Log in', exact: true })).toBeVisible()
  await page.getByLabel('User name').fill('guest')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Log in', exact: true }).click()
  await expect(page.locator('.side .who')).toHaveText('guest')
  await expect(page.locator('.side nav a')).toHaveText(['Overview', 'Jobs', 'Runs'])
  await page.goto(`${server.url}/#/jobs`)
  await expect(page.getByRole('heading', { name: 'Jobs', exact: true })).toBeVisible()
  await expect(page.getByRole('link', { name: 'New job', exact: true })).toHaveCount(0)
  await page.goto('about:blank')
  await server.stop()
})

test('the first account of a server that asks for a login needs its claim code', async ({ page, watch }) => {
  const server = await startServer({ AUTH: 'required' })
  watch.allowOrigin(server.url)
  watch.allowStatus(401, 422)
  await page.goto(server.url)
  await expect(page.getByRole('heading', { name: 'Make the first account', exact: true })).toBeVisible()
  await page.getByLabel('Claim code').fill('a guess')
  await page.getByLabel('User name').fill('me')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Make the account', exact: true }).click()
  await expect(page.getByText('the claim code is wrong')).toBeVisible()
  await page.getByLabel('Claim code').fill(readFileSync(join(server.folder, 'data', 'claim-code'), 'utf8').trim())
  await page.getByRole('button', { name: 'Make the account', exact: true }).click()
  await expect(page.locator('.side .who')).toHaveText('me')
  await page.goto('about:blank')
  await server.stop()
})
