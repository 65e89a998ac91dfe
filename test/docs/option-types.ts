/**
 * Types of options that tables of the option table show (docs/options.md and the page of each part), or that are not options of
 * a call: all others are in docs/options.md by their type.
 */
export const IN_TABLES: readonly string[] = [
  'AlertOptions',
  'AuditOptions',
  'HealthOptions',
  'MonitoringOptions',
  'PoolOptions',
  'ServiceLevelOptions',
  'SingleServerOptions',
  // Of a launcher that a host writes itself.
  'EndOptions',
];
