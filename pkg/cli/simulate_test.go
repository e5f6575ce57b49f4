package cli

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	podNodes = "sn,cpu_milli,memory_mib,gpu,model\na,8000,8000,2,T4\nb,8000,8000,2,T4\n"
	podList  = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\nhalf,1000,100,1,500,\none,1000,100,1,1000,\n"
	gangNode = "node,block,rack,gpu,cpu_milli,memory_mib\na,b,r0,8,64000,9999\nb,b,r1,8,64000,9999\n"
	gangList = "job,submit_s,duration_s,workers,gpu_per_worker,cpu_milli_per_worker,memory_mib_per_worker,master_cpu_milli\n" +
		"x,0,7200,2,8,1000,10,0\ny,600,3600,2,4,1000,10,0\n"
	elasticList = "job,submit_s,duration_s,workers,min_workers,max_workers,gpu_per_worker,cpu_milli_per_worker,memory_mib_per_worker,master_cpu_milli\n" +
		"x,0,72000,1,1,2,8,1000,10,0\ny,80000,3600,1,1,1,4,1000,10,0\n"
)

// simulated runs the verb on the given tables.
func simulated(t *testing.T, nodes, jobs string, args ...string) (code int, out, errOut string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args = append([]string{"simulate", "--nodes", write("nodes.csv", nodes), "--jobs", write("jobs.csv", jobs)}, args...)
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), "lockstep", args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestSimulatePods(t *testing.T) {
	code, out, errOut := simulated(t, podNodes, podList, "--policy", "lockstep,random", "--seeds", "3", "--arrive", "2", "-o", "json")
	if code != exitYes {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var got podsResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Policies) != 2 || len(got.Policies[1].Runs) != 3 || got.Policies[0].UnallocatedPercent.Mean != 0 {
		t.Errorf("%s", out)
	}
	if got.Policies[0].Runs[2].Seed != 44 {
		t.Errorf("seeds do not go up from 42: %+v", got.Policies[0].Runs[2])
	}
}

func TestSimulateGangs(t *testing.T) {
	code, out, errOut := simulated(t, gangNode, gangList)
	if code != exitYes {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, want := range []string{"FINISHED", "lockstep  8", "1h50m0s", "rack"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestSimulateElastic(t *testing.T) {
	code, out, errOut := simulated(t, gangNode, elasticList, "--elastic", "trace", "--loads", "0.3,0.5", "-o", "json")
	if code != exitYes {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var got elasticResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Loads) != 2 || got.Loads[1].Load != 0.5 || got.Loads[0].GoodputRatio < 1.5 || got.Loads[0].Elastic.Resizes.Grown != 1 {
		t.Errorf("%s", out)
	}
	if code, out, _ := simulated(t, gangNode, elasticList, "--elastic", "trace", "--loads", "0.3"); code != exitYes || !strings.Contains(out, "OVER FIXED") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestSimulateElasticSeeds: the first run is the trace as it is, and the figures of a load are its
// own as without further runs; those come beside them.
func TestSimulateElasticSeeds(t *testing.T) {
	// The second waits for the first: for how long depends on when it comes.
	waits := strings.ReplaceAll(elasticList, "y,80000,3600,1,1,1", "w,1000,3600,2,2,2,8,1000,10,0\ny,80000,3600,1,1,1")
	result := func(args ...string) elasticLoad {
		t.Helper()
		code, out, errOut := simulated(t, gangNode, waits, append([]string{"--elastic", "trace", "--loads", "1", "-o", "json"}, args...)...)
		if code != exitYes {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		var got elasticResult
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		return got.Loads[0]
	}
	one, three := result(), result("--seeds", "3")
	if one.Ratios != nil || one.Runs != nil || len(three.Runs) != 3 || three.Ratios.Min > three.Ratios.Mean || three.Ratios.Mean > three.Ratios.Max {
		t.Errorf("one run %+v, three %+v, of which the ratios %+v", one, three, three.Ratios)
	}
	if *one.ElasticReport != *three.ElasticReport || *three.Runs[0] != *one.ElasticReport {
		t.Errorf("the first of three runs is %+v; the only one was %+v", three.Runs[0], one.ElasticReport)
	}
	if *three.Runs[1] == *three.Runs[0] || *three.Runs[2] == *three.Runs[1] {
		t.Errorf("runs with different seeds are the same: %+v", three.Runs[1])
	}
	alone, _, _ := strings.Cut(elasticList, "y,")
	for _, jobs := range []string{elasticList, alone} {
		code, out, errOut := simulated(t, gangNode, jobs, "--elastic", "trace", "--loads", "0.3", "--seeds", "3")
		if code != exitYes || !strings.Contains(out, "STANDARD ERROR") || strings.Contains(out, "NaN") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	}
}

func TestSimulateStarvation(t *testing.T) {
	var out, errOut bytes.Buffer
	code := run(t.Context(), "lockstep", []string{"simulate", "starvation", "--hours", "6", "--load", "1.05"}, &out, &errOut)
	if code != exitYes {
		t.Fatalf("exit code %d: %s", code, &errOut)
	}
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(rows) != 4 || !strings.Contains(rows[2], "yes") || !strings.Contains(rows[3], "no") {
		t.Errorf("%s", &out)
	}
	if code := run(t.Context(), "lockstep", []string{"simulate", "starvation", "--load", "1"}, &out, &errOut); code != exitError {
		t.Errorf("exit code %d for a load at which nobody starves", code)
	}
}

// TestSimulateReport: the page is well-formed and asks nothing of a network.
func TestSimulateReport(t *testing.T) {
	for name, files := range map[string][2]string{"pods": {podNodes, podList}, "gangs": {gangNode, gangList}, "elastic": {gangNode, elasticList}} {
		path := filepath.Join(t.TempDir(), "report.html")
		args := []string{"--policy", "all", "--report", path}
		if name == "elastic" {
			args = append(args, "--elastic", "trace", "--loads", "0.3")
		}
		if code, _, errOut := simulated(t, files[0], files[1], args...); code != exitYes {
			t.Fatalf("%s: exit code %d: %s", name, code, errOut)
		}
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range []string{"http:", "https:", "src=", "<script", "NaN", "Inf"} {
			if bytes.Contains(page, []byte(link)) {
				t.Errorf("%s: the page has %q", name, link)
			}
		}
		mark, least := "<polyline", 16
		if name == "elastic" { // one load is no line
			mark, least = "<rect", 4
		}
		if n := bytes.Count(page, []byte(mark)); n < least {
			t.Errorf("%s: %d marks drawn for 8 policies, or for two sizes, in at least 2 charts", name, n)
		}
		svg := page[bytes.Index(page, []byte("<svg")) : bytes.Index(page, []byte("</svg>"))+len("</svg>")]
		if err := xml.Unmarshal(svg, new(struct{})); err != nil {
			t.Errorf("%s: the drawing is not well-formed: %v", name, err)
		}
	}
}

// What scripts may give whatever the columns say is no mistake.
func TestSimulateNotesGeneralFlags(t *testing.T) {
	for _, tt := range []struct {
		nodes, jobs string
		args        []string
		want        string
	}{
		{podNodes, podList, []string{"--policy", "fgd", "--arrive", "1.3", "--seed", "1"}, ""},
		{gangNode, gangList, []string{"--policy", "best-fit", "--arrive", "1.3", "--seed", "1"},
			"note: --arrive: is for single pods, and means nothing to gangs\n"},
		{gangNode, gangList, []string{"--queues", "a=1,b=2", "--reclaim-after", "0"}, ""},
		{gangNode, elasticList, []string{"--elastic", "trace", "--loads", "0.3", "--policy", "all"},
			"note: --policy: is for single pods and gangs, and means nothing to elastic jobs (--elastic)\n"},
	} {
		if code, _, errOut := simulated(t, tt.nodes, tt.jobs, tt.args...); code != exitYes || errOut != tt.want {
			t.Errorf("%q: exit code %d, error %q; want %q", tt.args, code, errOut, tt.want)
		}
	}
}

func TestSimulateBadInput(t *testing.T) {
	tests := []struct {
		nodes, jobs string
		args        []string
		want        string
	}{
		{podNodes, podList, []string{"--policy", "magic"}, `"magic" is not one of lockstep, fgd`},
		{podNodes, podList, []string{"--arrive", "0"}, "arrive: 0"},
		{gangNode, gangList, []string{"--elastic", "some"}, `--elastic: "some" is neither trace nor all`},
		{gangNode, gangList, []string{"--elastic", "trace"}, "no job is elastic"},
		{gangNode, gangList, []string{"--elastic", "all", "--loads", "0"}, "--loads: 0"},
		{gangNode, gangList, []string{"--elastic", "all", "--checkpoint", "0s"}, "--checkpoint: 0s"},
		{podNodes, podList, []string{"--elastic", "all"}, "--elastic: single pods have one size"},
		{podNodes, podList, []string{"--seeds", "0"}, "--seeds"},
		{podNodes, podList, []string{"--queues", "a=1"}, "--queues: is for gangs and elastic jobs (--elastic), and means nothing to single pods: leave it out"},
		{podNodes, podList, []string{"--topology", "places.csv"}, "--topology: is for gangs and"},
		{podNodes, podList, []string{"--preemption"}, "--preemption: is for gangs and"},
		{gangNode, gangList, []string{"--seeds", "3"}, "--seeds: is for single pods and elastic jobs (--elastic), and means nothing to gangs"},
		{gangNode, gangList, []string{"--loads", "0.7"}, "--loads: is for elastic jobs (--elastic), and means nothing to gangs"},
		{gangNode, gangList, []string{"--reclaim-after", "0"}, "--reclaim-after: is for --queues"},
		{gangNode, elasticList, []string{"--elastic", "trace", "--load", "0.7"}, "--load: is for gangs, and means nothing to elastic jobs"},
		{gangNode, elasticList, []string{"--elastic", "trace", "--patience", "1h"}, "--patience: is for gangs, and"},
		{podNodes, "name,size\na,1\n", nil, "neither a column num_gpu"},
		{podNodes, podList + "bad,1,1,1,0,\n", nil, "/jobs.csv: line 4: pod bad: gpu_milli is 0"},
		{gangNode, gangList + "z,0,1,x,1,1,1,0\n", nil, `/jobs.csv: line 4: column "workers": "x"`},
		{"node,gpu\na,1\n", gangList, nil, `/nodes.csv: line 2: there is no column "cpu_milli"`},
	}
	for _, tt := range tests {
		code, _, errOut := simulated(t, tt.nodes, tt.jobs, tt.args...)
		if code != exitError || !strings.Contains(errOut, tt.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("exit code %d, %q; want one line with %q", code, errOut, tt.want)
		}
	}
}
