export type { AddedCheck, ProbeOptions } from './config/added-check.js';
export type { AddedTree } from './config/added-tree.js';
export type {
  Alert,
  AlertFigure,
  AlertKind,
  AlertNotification,
  AlertSeverity,
  AlertState,
  AlertSubject,
  UndeliveredAlert,
} from './config/alert.js';
export type { AlertOptions, AlertTier } from './config/alert-options.js';
export type { AlertCondition, AlertReport } from './config/alert-report.js';
export type { ApplyConfigOptions } from './config/apply-config-options.js';
export type { AuditOptions } from './config/audit-options.js';
export type {
  AcquireOptions,
  CleanupOptions,
  DrainOptions,
  DrillFault,
  DrillOptions,
  DrillVerdict,
  PlanMode,
  PlanOptions,
  ResetBreakerOptions,
  RestartAllOptions,
  ShutdownOptions,
  StatusFormat,
  WaitOptions,
  WarmOptions,
} from './config/call-options.js';
export type {
  CgroupLimits,
  Containment,
  MarkerChoice,
  ProcessLimits,
  ResolvedContainment,
} from './config/containment-options.js';
export type { DependencyCondition, DependsOn } from './config/depends-on.js';
export type { ConfigWarned } from './config/docker-run.js';
export { type EnvironmentOptions, optionsFromEnvironment } from './config/environment-options.js';
export type { EnvSource } from './config/fields.js';
export type { ExceededFolder, FolderBudget } from './config/folder-options.js';
export type {
  HealthCheck,
  HealthContext,
  HealthFunction,
  HealthOptions,
  OwnCheck,
} from './config/health-options.js';
export type { LaneOptions, LaneWatchOptions, RunLimits } from './config/lane-options.js';
//REQ
export type { MaxProcessesSource } from './config/limit-options.js';
export type {
  AlertLevel,
  EmergencyNotice,
  LevelAction,
  MonitoringOptions,
  ReachedLevel,
} from './config/monitoring-options.js';
export type {
  PoolOptions,
  ResolvedDefinition,
  ServerDefinition,
  ServerPolicy,
  Sharing,
  SingleServerOptions,
} from './config/options.js';
export type { RestartOptions, StartOptions, StartProgress } from './config/order-options.js';
export type { Requirements } from './config/requirement-options.js';
export type { SequencePlanAction } from './config/resolve-sequence.js';
export type { Priority } from './config/resource-options.js';
export type {
  DependencyExitPolicy,
  SequenceOptions,
  SequencePlanOptions,
  SequenceStartOptions,
  SequenceStep,
  SequenceStopOptions,
  StepResult,
  StopContext,
  StopMode,
} from './config/sequence-options.js';
export type { ServiceLevelOptions, ServiceLevelTargets } from './config/service-level-options.js';
export type { EndStraysOptions, FindStraysOptions } from './config/stray-options.js';
export type { PerTenant, VariantValues } from './config/variant-options.js';
export type { EndWatchedOptions, WatchOptions } from './config/watch-options.js';
export { PoolError, type PoolErrorCode, type PoolErrorData, type UnmetRequirement } from './errors.js';
export type { ListenerError } from './events.js';
export type { AlertEvents } from './health/alerts/alert-events.js';
export { AlertManager } from './health/alerts/alert-manager.js';
export type { HealthChange, HealthChecked, HealthEvents, StuckEvent } from './health/health-events.js';
export { type HealthDependencies, HealthMonitor } from './health/health-monitor.js';
export type { HealthReport } from './health/health-rounds.js';
export type { HealthStatus } from './health/health-status.js';
export type { HealthVerdict, ProbeCheck, ProbedServer, ProbedState, ProbeStatus } from './health/probe-verdict.js';
export type {
  BurningLevel,
  PoolLevels,
  ServerLevels,
  ServiceLevel,
  ServiceLevelEvent,
  ServiceLevelReport,
  TimeLevel,
} from './health/service-levels/service-level.js';
export type { AuditFailure } from './monitor/audit/audit-trail.js';
export { removeStaleSockets } from './monitor/host/stale-sockets.js';
export type { Level } from './monitor/level.js';
export type { LeakEvent, LimitEvent, LimitKind, MonitorAction, MonitorEvents } from './monitor/monitor-events.js';
export { ResourceMonitor } from './monitor/resource-monitor.js';
export type { ResourceSample, TreeLevel, TreeSample } from './monitor/resource-sample.js';
export type { FallbackReason } from './packages/package-resolver.js';
export type { AppliedConfig } from './pool/applied-config.js';
export type { ConfigApplied, ConfigProblem, ConfigRejected, PoolConfigChanged } from './pool/config-events.js';
export type { PoolDependencies } from './pool/dependencies.js';
export { formatStatus } from './pool/display/format-status.js';
export type { DrillReport } from './pool/drill/drill-report.js';
export { runRecoveryDrill } from './pool/drill/recovery-drill.js';
export type { EventMessage } from './pool/event-channels.js';
export { POOL_EVENTS } from './pool/event-names.js';
export type {
  AnyPoolEvent,
  BreakerEvent,
  EndReport,
  LeaseEvent,
  PoolEvents,
  QueueEvent,
  ServerEvent,
  ShutdownReport,
} from './pool/events.js';
export type { RequestEndMessage, RequestStartMessage } from './pool/health/request-channels.js';
export type { ServerOfRequest } from './pool/health/request-watch.js';
export type { LeaseHolder, WaitingCaller } from './pool/instances/pooled-instance.js';
export type { PooledServer } from './pool/leases/lease.js';
export { MCPServerPool } from './pool/mcp-server-pool.js';
export type { PoolCounts, PoolFigures, PoolMetrics } from './pool/metrics.js';
export type { PackageEvent, PackageEvents } from './pool/package-events.js';
export type { PrefetchedServer, PrefetchOptions, PrefetchProgress, PrefetchReport } from './pool/packages/prefetch.js';
export type { PlannedEnd, PoolPlan } from './pool/shutdown/plan.js';
export type { InstanceStatus, PoolStatus, ServerStatus } from './pool/status.js';
export type { BreakerState } from './pool/supervision/breaker.js';
export type { BreakerStatus } from './pool/supervision/breakers.js';
export type { RestartedServer, RestartReport } from './pool/supervision/restart-all.js';
export {
  type CleanupEvents,
  type CleanupJob,
  CleanupQueue,
  type CleanupReport,
  type CleanupStatus,
  type EscalationReason,
} from './process/cleanup-queue.js';
export type { ContainmentPart, ContainmentProblem } from './process/containment-problems.js';
export type { ContainmentStatus } from './process/containment-status.js';
export type { ReapedHost } from './process/guardian/dead-hosts.js';
export type {
  EventLoopDelay,
  HostCpus,
  HostDescriptors,
  HostHeap,
  HostMemory,
  HostPids,
  HostPressure,
  HostSample,
  Pressure,
  Pressures,
  StallShares,
} from './process/host/host-sample.js';
export type {
  ContainmentLevel,
  EndOptions,
  ExitInfo,
  KernelVerdict,
  Launcher,
  LaunchSpec,
  LocalIdentity,
  ProcessHandlers,
  ServerIdentity,
  ServerProcess,
  SignalReach,
  StartRefusal,
} from './process/launcher.js';
export {
  type ConsistencyReport,
  type NewEntry,
  ProcessRegistry,
  type RegistryEntry,
  type RegistryEvents,
  type RegistryMetrics,
  type RemovalReason,
} from './process/process-registry.js';
export { endStrays, type StrayEnd } from './process/strays/end-strays.js';
export { endWatched } from './process/strays/end-watched.js';
export type { ProcessEnd } from './process/strays/ending.js';
export { findStrays, type Stray } from './process/strays/find-strays.js';
export {
  ProcessWatch,
  type WatchEvents,
  type WatchReport,
  watchProcesses,
} from './process/strays/watch-processes.js';
export type { SeenProcess, WatchedProcess, WatchReason } from './process/strays/watch-rounds.js';
export type {
  EndMode,
  EndStep,
  Graces,
  Rung,
  SignalTargets,
  Survivor,
  TerminationReport,
  TreePlan,
} from './process/termination-report.js';
export type { LeaderState, TreeActivity } from './process/usage/tree-activity.js';
export type { DetailedUsage, TreeUsage } from './process/usage/tree-usage.js';
export type { DroppedOutput } from './protocol/channels/noise.js';
export type { JsonRpcError, JsonRpcMessage, LostRequestData, RequestId } from './protocol/json-rpc.js';
export type { ToolChanges } from './protocol/mux/tool-list.js';
export type { ObservedRequest, RequestOutcome } from './protocol/request-observer.js';
export type { PooledTransport } from './protocol/session.js';
export type { Clock, Timer } from './runtime/clock.js';
export type { LaneEvents } from './sequence/lanes/lane-events.js';
export type { LaneMember } from './sequence/lanes/lane-files.js';
export type { QueuePlace } from './sequence/lanes/lane-lock.js';
export type { RunEnd, RunningCommand, RunResult } from './sequence/lanes/lane-run.js';
export type { LaneStatus } from './sequence/lanes/lane-status.js';
export type { LeftTree, NamedProcess } from './sequence/lanes/leftovers.js';
export type { RunPeak } from './sequence/lanes/run-limits.js';
export type { HeadroomReader } from './sequence/preflight/host-headroom.js';
export type { Headroom } from './sequence/preflight/unmet.js';
export type { SequenceEvents } from './sequence/sequence-events.js';
export { SequenceManager } from './sequence/sequence-manager.js';
export type { SequencePlan, SequenceReport, SequenceState, SequenceStatus } from './sequence/sequence-report.js';
export { type RunOptions, SequentialExecutor } from './sequence/sequential-executor.js';
export type { StepReason, StepReport, StepStatus, StepWait } from './sequence/step-report.js';
export type { StepState } from './sequence/step-state.js';
export type { EndReason } from './server/end-reason.js';
export type { ServerState } from './server/server-state.js';
