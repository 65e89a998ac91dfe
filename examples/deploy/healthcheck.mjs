// The health check of the container: 0 when the pool says that traffic may come, else 1, with the reasons.
const { PORT = 9464 } = process.env;
try {
  const response = await fetch(`http://127.0.0.1:${PORT}/readyz`, { signal: AbortSignal.timeout(4_000) });
  if (!response.ok) throw new Error(await response.text());
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
