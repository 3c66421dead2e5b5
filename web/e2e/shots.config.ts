// npm run shots: the pictures of the READMEs. No part of the tests.
import { defineConfig } from '@playwright/test'
import tests from '../playwright.config'

export default defineConfig({ ...tests, testDir: '.', testMatch: 'shots.ts', workers: 1, timeout: 180_000, outputDir: '../test-results' })
