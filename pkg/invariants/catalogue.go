package invariants

// Invariant is one line of the catalogue.
type Invariant struct{ Name, Says string }

// Catalogue lists what is judged, in the order of the documents.
func Catalogue() []Invariant {
	return []Invariant{
		{"S1", "a gang's live bound members are none or its floor; anything between lasts no longer than a repair"},
		{"S2", "no bind gives out more of a resource than the node has"},
		{"S3", "no bind to a node that is gone, cordoned or not ready, nor to another life of a pod"},
		{"S4", "an eviction says why and for whom, takes a whole gang or its surplus, and its room is used"},
		{"S5", "only the holder of the scheduler's lease binds"},
		{"S7", "nobody is evicted for a gang that is not more important"},
		{"S8", "a quota's use is the sum of its pods, and no bind goes beyond it"},
		{"S9", "members share the domain that their gang requires"},
		{"S10", "a job has one live pod for each place, and what has ended stays so"},
		{"S11", "Lockstep writes to nothing that is not its own"},
		{"L1", "a gang that fits is bound soon"},
		{"L2", "a gang that waits is not overtaken for ever"},
		{"L3", "nothing is written again and again while nothing happens"},
		{"V1", "a gang that waits says why, with numbers"},
		{"V2", "a status is what follows from the pods"},
	}
}
