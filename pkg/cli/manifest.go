package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// document is one document of a manifest file, or one item of a list in it.
type document struct {
	file   string
	number int // of the document in its file, from 1
	item   int // of the list in the document, from 0; -1 for the document itself
	text   []byte
}

// where names the document for messages.
func (d document) where() string {
	where := fmt.Sprintf("%s: document %d", d.file, d.number)
	if d.item >= 0 {
		where += fmt.Sprintf(": items[%d]", d.item)
	}
	return where
}

// extensions of the files that are read from a directory.
var extensions = []string{".yaml", ".yml", ".json"}

// readManifests reads files, the files of directories, and, for "-", standard input.
func readManifests(names []string, stdin io.Reader) ([]document, error) {
	var documents []document
	for _, name := range names {
		files, err := manifestFiles(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			found, err := readManifest(file, stdin)
			if err != nil {
				return nil, err
			}
			documents = append(documents, found...)
		}
	}
	return documents, nil
}

// manifestFiles are the files of a directory, or the one that is named.
func manifestFiles(name string) ([]string, error) {
	if info, err := os.Stat(name); name != "-" && err == nil && info.IsDir() {
		return manifestsIn(name)
	}
	return []string{name}, nil
}

func manifestsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains(extensions, filepath.Ext(entry.Name())) {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	if files == nil {
		return nil, fmt.Errorf("%s: no file in it ends in %s", dir, strings.Join(extensions, ", "))
	}
	return files, nil
}

func readManifest(name string, stdin io.Reader) ([]document, error) {
	if name == "-" {
		return split("standard input", stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return split(name, file)
}

// split takes a file apart at the lines that begin with "---".
func split(name string, in io.Reader) ([]document, error) {
	var documents []document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", name, len(documents)+1, err)
		}
		documents = append(documents, document{file: name, number: len(documents) + 1, item: -1, text: text})
	}
}

// jsons returns what a document says as JSON values. YAML documents are one each;
// JSON has no mark between documents, so several may follow one another.
func (d document) jsons() ([]json.RawMessage, error) {
	if text := bytes.TrimSpace(d.text); bytes.HasPrefix(text, []byte("{")) {
		if values, err := jsonValues(text); err == nil {
			return values, nil
		}
	}
	value, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil && onlyMerged(d.text) {
		value, err = yaml.YAMLToJSON(d.text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", d.where(), oneLine(err))
	}
	if string(value) == "null" {
		return nil, nil // comments only
	}
	return []json.RawMessage{value}, nil
}

// onlyMerged reports whether a document in which keys are said to be given twice has them
// so by merges alone ("<<: *base" and what overrides it), which is as it should be.
func onlyMerged(text []byte) bool {
	var value any
	return yamlv3.Unmarshal(text, &value) == nil
}

func jsonValues(text []byte) ([]json.RawMessage, error) {
	var values []json.RawMessage
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, err
		}
		values = append(values, value)
	}
}

// oneLine is an error's text without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
