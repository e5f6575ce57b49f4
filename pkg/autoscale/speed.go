package autoscale

// Sample is how fast a job ran at a size: steps per second, or any other unit that
// is the same at every size.
type Sample struct {
	Workers int
	Speed   float64
}

// Speed is how fast the job runs at a size. It is what was measured there, or else
// at the nearest measured size (the smaller of two), carried over by the shape of
// the default curve.
func (j *Job) Speed(workers int) float64 {
	var nearest Sample
	for _, s := range j.Samples {
		if s.Workers < 1 || !(s.Speed > 0) {
			continue
		}
		d, best := distance(s.Workers, workers), distance(nearest.Workers, workers)
		if nearest.Workers == 0 || d < best || d == best && s.Workers < nearest.Workers {
			nearest = s
		}
	}
	if nearest.Workers == 0 {
		return j.byDefault(workers)
	}
	return nearest.Speed * j.byDefault(workers) / j.byDefault(nearest.Workers)
}

// SpeedUp is the speed at a size over that of one Worker.
func (j *Job) SpeedUp(workers int) float64 { return j.Speed(workers) / j.Speed(1) }

func distance(a, b int) int { return max(a-b, b-a) }

// The default curve: the time of a step with n Workers is that with one Worker times
// serial + parallel/n + latency (n-1), and crossing if they are on more than one
// node. It is meant for data-parallel training with a fixed global batch and a fast
// network: 1.9, 3.6, 6.4 and 10.5 times as fast with 2, 4, 8 and 16 Workers
// on several nodes; 2.0, 3.9 and 7.4 times with 2, 4 and 8 on one.
const (
	serial   = 0.01
	parallel = 1 - serial
	latency  = 0.0002
	crossing = 0.02
)

// byDefault is the speed-up over one Worker.
func (j *Job) byDefault(workers int) float64 {
	if workers < 1 {
		return 0
	}
	n := float64(workers)
	time := serial + parallel/n + latency*(n-1)
	if workers > 1 && (j.NodeGPUs == 0 || workers*j.GPUs > j.NodeGPUs) {
		time += crossing
	}
	return 1 / time
}
