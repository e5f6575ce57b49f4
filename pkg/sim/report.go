package sim

// ReplayReport is what a replay measured. Shares are in percent.
type ReplayReport struct {
	Policy       string `json:"policy"`
	JobsFinished int    `json:"jobs_finished"`
	JobsFailed   int    `json:"jobs_failed"` // as the trace says; their work is not useful
	JobsNeverFit int    `json:"jobs_never_fit"`
	// MakespanSeconds is from the first submission to the end of the last job.
	MakespanSeconds int64 `json:"makespan_seconds"`
	// AllocatedPercent is the GPU time held, of all there was while jobs arrived.
	AllocatedPercent float64 `json:"allocated_percent"`
	// UsefulPercent is the part of it held by jobs that succeeded, but for restarts after
	// an eviction and for work that was then done again.
	UsefulPercent float64 `json:"useful_percent"`
	// KeptPercent is the GPU time that lay idle because it was reserved for somebody.
	KeptPercent float64 `json:"kept_percent"`
	// Waiting is by the number of GPUs that a job asks for, the last line is all jobs.
	Waiting []SizeClass `json:"waiting"`
	// Stretch is by level, the widest first; single-pod jobs are left out.
	Stretch       []LevelStretch `json:"stretch"`
	Fragmentation Fragmentation  `json:"fragmentation"`
	Timeline      []Moment       `json:"timeline"`
	// Resizes are the changes of size of elastic jobs.
	Resizes Resizes `json:"resizes"`
	// Preempted are the jobs that were ended for more important ones, and went on later.
	Preempted Preempted `json:"preempted"`
	// Queues are what queues got, where there are some.
	Queues []QueueShare `json:"queues,omitempty"`
}

// Preempted counts jobs as often as they were ended.
type Preempted struct {
	Jobs         int     `json:"jobs"`
	LostGPUHours float64 `json:"lost_gpu_hours"`
}

// Resizes counts changes of size.
type Resizes struct {
	Total   int `json:"total"`
	Grown   int `json:"grown"`
	GaveWay int `json:"gave_way"` // to gangs that waited, or were more important
	// LostGPUHours passed in restarts, or were spent on work that had to be done again.
	LostGPUHours float64 `json:"lost_gpu_hours"`
}

// SizeClass is the waiting times of jobs of a size.
type SizeClass struct {
	GPUs        string  `json:"gpus"` // "1", "2-7", …
	Jobs        int     `json:"jobs"`
	MeanSeconds float64 `json:"mean_seconds"`
	// Half of the jobs, and 99 %, have waited for no longer than this.
	P50Seconds int64 `json:"p50_seconds"`
	P99Seconds int64 `json:"p99_seconds"`
	MaxSeconds int64 `json:"max_seconds"`
	// MeanSlowdown is the mean of (wait + run) / run, at least 1, with runs shorter
	// than ten minutes counted as ten minutes.
	MeanSlowdown float64 `json:"mean_slowdown"`
}

// LevelStretch says over how many domains of a level gangs were spread.
type LevelStretch struct {
	Level string `json:"level"`
	Gangs int    `json:"gangs"`
	// MeanDomains is the mean number of domains per gang.
	MeanDomains float64 `json:"mean_domains"`
	// MeanOverEmpty is the mean ratio to the least possible on an empty cluster,
	// MeanOverBest to the least possible at the time of the decision.
	MeanOverEmpty float64 `json:"mean_over_empty"`
	MeanOverBest  float64 `json:"mean_over_best"`
}

// Fragmentation says in what pieces free GPUs lay while jobs arrived; means over time.
type Fragmentation struct {
	FreeGPUs float64 `json:"free_gpus"`
	// WholeNodes is the number of nodes with all GPUs free; WholeNodePercent is the
	// share of the free GPUs that is on them.
	WholeNodes       float64 `json:"whole_nodes"`
	WholeNodePercent float64 `json:"whole_node_percent"`
	// Usable is the largest gang, in GPUs, that one domain of the narrowest level
	// above hosts (or the cluster) could take, as a share of the free GPUs in it.
	Usable []UsableShare `json:"usable"`
}

// UsableShare is for pods of one size.
type UsableShare struct {
	GPUsPerPod int     `json:"gpus_per_pod"`
	Percent    float64 `json:"percent"`
}

// Moment is a point of the timeline.
type Moment struct {
	Seconds          int64   `json:"seconds"`
	AllocatedPercent float64 `json:"allocated_percent"`
	WaitingJobs      int     `json:"waiting_jobs"`
	WholeNodes       int     `json:"whole_nodes"`
}
