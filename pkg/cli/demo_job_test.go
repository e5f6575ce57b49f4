package cli

import "testing"

func TestLossIsReadFromTheLog(t *testing.T) {
	var loss lossSeen
	for _, line := range []string{
		"rank 0 of 3: torch 1.13.1, gloo",
		"epoch 1/10  step 25  loss 1.2345  ranks 3  0.10s",
		"epoch 2/10  step 50  loss=4.5e-1",
		"no number here: loss of nothing",
	} {
		loss.read(line)
	}
	if want := (lossSeen{first: 1.2345, last: 0.45, lines: 2}); loss != want {
		t.Errorf("got %+v, want %+v", loss, want)
	}
}

func TestSampleJobIsReadAsItIs(t *testing.T) {
	job, err := sampleJob()
	if err != nil {
		t.Fatal(err)
	}
	if job.GetKind() != "PyTorchJob" || sizeOf(job) != 3 {
		t.Errorf("got kind %q with %d pods, want a PyTorchJob with 3", job.GetKind(), sizeOf(job))
	}
}
