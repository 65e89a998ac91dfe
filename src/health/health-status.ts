/**
 * Whether a server answers. `healthy`: it does. `busy`: it works on a call, and does not answer meanwhile. `degraded`: it has
 * missed a check. `unhealthy`: it has missed several, or cannot answer at all.
 */
export type HealthStatus = 'healthy' | 'busy' | 'degraded' | 'unhealthy';
