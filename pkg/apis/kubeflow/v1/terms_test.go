package v1

import "testing"

func TestReadTerms(t *testing.T) {
	_, notices := ReadTerms(map[string]string{
		AnnotationWorldSizes: "2,x", AnnotationWorldSizeStep: "0", AnnotationMaxResizes: "-1",
		AnnotationResizeCooldown: "5", AnnotationCheckpointGrace: "10s",
	})
	if len(notices) != 5 {
		t.Errorf("notices: %v", notices)
	}
	for _, test := range []struct {
		sizes               []int32
		step                int32
		wanted, least, most int32
		want                int32
	}{
		{nil, 1, 3, 1, 8, 3},
		{[]int32{2, 4, 8}, 1, 7, 1, 8, 4},
		{[]int32{4, 8}, 1, 3, 2, 8, 4}, // none below: the next above
		{nil, 4, 7, 1, 8, 4},
		{[]int32{16}, 1, 3, 1, 8, 3}, // none at all
	} {
		if got := (Terms{Sizes: test.sizes, Step: test.step}).Allowed(test.wanted, test.least, test.most); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
