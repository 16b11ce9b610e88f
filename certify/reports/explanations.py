"""Reason and error codes in plain words: what they mean, the theory behind them, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Explanation:
    """One code explained.

    Attributes:
        title: a few words.
        meaning: what was found.
        theory: theorem or formula behind it; may be empty.
        remedy: what to do.
    """

    title: str
    meaning: str
    theory: str
    remedy: str


OUTCOMES: dict[str, Explanation] = {
    "gap-closed": Explanation(
        "certified: the gap is within the tolerance",
        "A dual point was found whose value is within the tolerance of the objective. No network with the same kind "
        "of subnetworks, however wide, has a smaller objective than the bound.",
        "Weak duality with the polar Ω°(−A) ≤ λ (Haeffele and Vidal 2015, 2017; Bach 2013).",
        "Nothing. Ask for a smaller --relative-gap if you need a tighter statement.",
    ),
    "missing-subnetwork": Explanation(
        "improvable: the network lacks subnetworks",
        "Subnetworks that the network does not have lower the objective. A wider model was built and evaluated; most "
        "of its decrease comes from the added subnetworks.",
        "A subnetwork w with θ(w) = 1 and ⟨−A, φ(w)⟩ > λ at A = ∇ℓ(Z) lowers the objective when it is added with a "
        "small enough scale: the polar test of Haeffele and Vidal (2015, 2017).",
        "Take the better model (--output-model PATH), or widen the network and go on training. Gradient descent at a "
        "fixed width may never find these subnetworks.",
    ),
    "not-stationary": Explanation(
        "improvable: training had not finished",
        "Plain descent at the same width lowers the objective by more than the tolerance. A better model was built "
        "and evaluated.",
        "At a local minimum each subnetwork satisfies ⟨A, φ(Wᵢ)⟩ + λθ(Wᵢ) = 0 (Euler's identity for homogeneous "
        "functions; Haeffele and Vidal 2017).",
        "Train longer or with a smaller last learning rate, on the full batch, and with the same weight decay as in "
        "the problem file; or take the better model (--output-model PATH).",
    ),
    "unbalanced": Explanation(
        "improvable: rescaling layers alone helps",
        "Multiplying one layer of a subnetwork and dividing another by the same factor leaves the outputs as they are "
        "and lowers the penalty by more than the tolerance. A rebalanced model was built and evaluated.",
        "For two layers (‖u‖² + ‖v‖²)/2 ≥ ‖u‖‖v‖, with equality at equal norms (inequality of arithmetic and geometric "
        "means).",
        "Check that the weight decay in the problem file is the one that training used; then train longer, or take the "
        "better model (--output-model PATH).",
    ),
    "bound-too-loose": Explanation(
        "undecided: no better model, and the bound does not reach the objective",
        "The search found no model that is better by more than the tolerance, and the best proven lower bound is "
        "further away than the tolerance. The proven gap holds all the same: the optimum lies between the bound and "
        "the best known objective.",
        "The lower bound is as good as the upper bound on the polar. Maximizing over one ReLU subnetwork is W[1]-hard "
        "in the number of input dimensions (Froese et al. 2025), so that no method is fast in all cases.",
        "In the order of what usually helps: more time (--budget 10m), more weight decay, fewer input dimensions, or a "
        "tolerance that fits the question (--relative-gap).",
    ),
    "budget": Explanation(
        "undecided: the time ran out",
        "The budget was spent before the gap closed and before a better model was found. The proven gap holds.",
        "",
        "Give more time (--budget 10m), or check a smaller model first to see how the time grows.",
    ),
    "numerical": Explanation(
        "rounding stands in the way",
        "No dual point near the candidate satisfies the constraints in float64 arithmetic, or the independent checker "
        "did not accept the certificate, for example because the numbers span too many orders of magnitude.",
        "Every claim must survive rounding (Higham 2002, chapter 3). An unpenalized bias needs column sums of the dual "
        "point that are exactly zero.",
        "Standardize inputs and targets, drop samples with extreme weights, or penalize the biases.",
    ),
}

HYPOTHESES: dict[str, Explanation] = {
    "not-homogeneous": Explanation(
        "a layer is not positively homogeneous",
        "A layer such as Sigmoid, GELU or LayerNorm does not satisfy σ(at) = aᵖσ(t) for a > 0, so that the network is "
        "not a sum of homogeneous subnetworks.",
        "Positive homogeneity, φ(aW) = aᵖφ(W), is the first hypothesis of the theorem (Haeffele and Vidal 2015).",
        "Use a layer that qualifies (linear, convolution, ReLU, square, pooling). BatchNorm directly after a linear "
        "layer or convolution is folded into it. A final softmax or sigmoid belongs to the loss: save the logits.",
    ),
    "deep-bias": Explanation(
        "a bias after the first weights of a subnetwork",
        "A bias in the second or a later layer of a subnetwork adds a term of degree 1 to one of degree 2 or more, so "
        "that scaling all parameters does not scale the output by one power. Biases of the first layer (one more "
        "input that is 1) and of the outputs (outside the sum) are no obstacle.",
        "φ must be positively homogeneous of one degree in all its parameters (Haeffele and Vidal 2015, Definition 1).",
        "Train without biases between the first and the last weight layer (bias=False).",
    ),
    "unequal-degrees": Explanation(
        "values of different degrees are added",
        "The model adds values that grow with different powers of the weights, such as a residual connection around a "
        "layer with weights, or branches of different depth.",
        "All subnetworks and the penalty must be positively homogeneous of one degree (Haeffele and Vidal 2015).",
        "Give all branches the same number of weight layers; a residual connection qualifies from inputs to outputs.",
    ),
    "no-head": Explanation(
        "no head to certify",
        "scope: head needs last layers that read one vector of each sample from the layers before: one linear layer, "
        "or two with nothing, relu or square between them.",
        "The layers before are frozen, so that what they compute is the data of the head.",
        "Save the model without what follows its last linear layer, or flatten and pool before it.",
    ),
    "no-bound-yet": Explanation(
        "the model qualifies, but no bound serves it",
        "The model is a sum of parallel positively homogeneous subnetworks of the degree of the penalty, so that the "
        "theorem applies to it; but a certificate needs a proven upper bound on the polar of its subnetworks, and this "
        "version has none for their kind.",
        "Global optimality is Ω°(−∇ℓ) ≤ λ (Haeffele and Vidal 2015, Theorem 1), and the polar Ω° depends on the kind "
        "of subnetwork.",
        "certify inspect MODEL shows the subnetworks. Bring the model into a form with a bound: two linear layers with "
        "nothing, ReLU or a square between them.",
    ),
    "degree-mismatch": Explanation(
        "penalty and network have different degrees of homogeneity",
        "The network grows with a higher power of its weights than the penalty does, for example three weight layers "
        "(degree 3) under weight decay (degree 2). Then the penalty can reward splitting or concentrating weight, the "
        "induced gauge is not convex, and the polar condition does not apply.",
        "φ and θ must be positively homogeneous of the same degree (Haeffele and Vidal 2015, 2017).",
        "Use a network of two weight layers with weight decay, or a penalty of the right degree: for quadratic "
        "subnetworks product_of_norms with powers: [2, 1].",
    ),
    "unpenalized-weight": Explanation(
        "a weight of the subnetworks has weight decay 0",
        "penalty.weight_decay gives one of the two weights of a subnetwork the value 0. Scaling that weight up and the "
        "other down leaves the outputs as they are and makes the penalty as small as one likes.",
        "θ must be positive and positively homogeneous of the degree of φ (Haeffele and Vidal 2015, Definition 2).",
        "Give both weights a weight decay. Biases, and a linear skip, may have 0.",
    ),
    "loss-not-convex": Explanation(
        "the loss is not convex in the outputs",
        "Weak duality needs a loss that is convex in the outputs of the network. All losses that certify knows are.",
        "The bound −ℓ*(A) is a lower bound for any loss, but it meets the optimum only for a convex one (Fenchel and "
        "Moreau; Rockafellar 1970, Theorem 12.2).",
        "Use one of the losses in the reference.",
    ),
    "unbounded-polar": Explanation(
        "a part of the network costs nothing",
        "An unpenalized hidden bias inside a square produces linear and constant functions of the inputs at no cost in "
        "penalty, so that the polar is infinite.",
        "θ(w) = 0 must imply φ(w) = 0 (Haeffele and Vidal 2017); otherwise the gauge is not one.",
        "Write biases: {hidden: penalized}, and a free output bias or a linear skip if such functions are meant.",
    ),
    "unknown-layer": Explanation(
        "an operation that certify does not know",
        "The network contains a layer whose degree of homogeneity is not in the table, or hooks that may change what "
        "it computes.",
        "The certificate needs φ(aW) = aᵖφ(W) (Haeffele and Vidal 2015), which is not assumed of unknown code.",
        "Rewrite the network with layers that qualify (linear, convolution, ReLU, square, pooling), and remove hooks "
        "such as weight_norm.",
    ),
    "not-traceable": Explanation(
        "the layers of a live module cannot be traced",
        "torch.export could not write down what the module computes as a fixed list of operations, or the list gives "
        "other outputs than the module: it branches on values, or on the number of samples.",
        "",
        "Make forward independent of values, or name the layers: layers=[{'linear': NAME}, 'relu', …].",
    ),
    "unsupported-architecture": Explanation(
        "no subnetwork of two or more weights",
        "Nothing in the model is a product of weights, so that there is no subnetwork to certify.",
        "",
        "End the model with one or two linear layers; a single one is certified as the convex problem that it is.",
    ),
    "unsupported-penalty": Explanation(
        "no certificate for this penalty",
        "product_of_norms is certified for Euclidean norms only.",
        "Other norms give other polars, several of them NP-hard to compute.",
        "Use norms: [2, 2].",
    ),
    "unsupported-format": Explanation(
        "a file format that certify does not read",
        "The file is recognized, but there is no reader for what it holds, such as Parquet, or another estimator of "
        "scikit-learn than a multi-layer perceptron.",
        "",
        "Save the data as .npz, .npy, .safetensors or .csv, and the model in one of the formats of "
        "docs/reference/model-formats.md.",
    ),
    "tied-weights": Explanation(
        "two layers share one tensor",
        "Two parameters of the file are the same tensor, or the problem file lists a layer twice. Weight decay counts "
        "a shared tensor once, and the layers cannot be rescaled independently.",
        "The theory rescales each factor of a subnetwork on its own (Haeffele and Vidal 2015).",
        "If the weights are not meant to be tied, save clones: {k: v.clone() for k, v in model.state_dict().items()}.",
    ),
    "unsupported": Explanation(
        "outside the theory that is implemented",
        "A hypothesis of the theorem fails for this model or penalty; the message names the layer or term.",
        "",
        "Do what the message says would mend it; certify inspect MODEL lists every obstacle.",
    ),
}

PROBLEM_ERRORS: dict[str, Explanation] = {
    "usage": Explanation(
        "a flag or an argument is wrong",
        "The command line or a call asks for something that cannot be done. Nothing was computed.",
        "",
        "Correct what the message names; certify COMMAND --help lists the flags.",
    ),
    "problem-file": Explanation(
        "the problem file or the flags do not describe a problem",
        "A key is missing, unknown or has a value of the wrong kind. The message has one line per fault, with file, "
        "line and column, or the flag.",
        "",
        "Correct the lines named. certify init MODEL writes a problem file to start from, and the reference lists all "
        "keys.",
    ),
    "audit-file": Explanation(
        "the audit file or the flags do not describe an audit",
        "A key of the audit file is missing, unknown or has a value of the wrong kind; a glob matches nothing; an "
        "environment variable or an axis of the matrix is not there; or two items have one name. The message names "
        "file, line and column.",
        "",
        "Correct the lines named; the reference lists all keys, and editors complete and check them with the published "
        "schema. --allow-empty accepts a glob that matches nothing.",
    ),
    "baseline": Explanation(
        "the baseline cannot be read",
        "The file given by --baseline is not a baseline that certify audit has written.",
        "",
        "Name another file, or write it anew with --update-baseline.",
    ),
    "cluster": Explanation(
        "the cluster cannot be used",
        "Dask is not installed, nobody answers at the address given by --cluster, or its workers cannot import this "
        "version of certify.",
        "",
        "Install the extra: pip install 'certify-optimality[cluster]', on this machine and on the workers; check the "
        "address that the scheduler has printed.",
    ),
    "yaml": Explanation(
        "the problem file is not YAML that certify reads",
        "The text is not YAML 1.2, has a key twice, or uses tags, anchors or numbers that are refused.",
        "",
        "Correct the place named by FILE:LINE:COLUMN.",
    ),
    "layers-needed": Explanation(
        "the layers cannot be told from the file",
        "A file of weights does not say which functions run between them, and the names do not show it.",
        "",
        "List the layers in the problem file under model.layers; the message shows lines to paste.",
    ),
    "layers-given": Explanation(
        "layers are given for a file that has its own",
        "The problem file lists model.layers, but the model file says itself which layers run, and in which order.",
        "",
        "Remove model.layers; certify inspect MODEL shows the layers of the file.",
    ),
    "missing-parameter": Explanation(
        "a layer of the problem file is not in the model file",
        "model.layers names a layer whose weight the file does not hold.",
        "",
        "Correct the name; certify inspect MODEL lists the names in the file.",
    ),
    "unused-parameters": Explanation(
        "the model file holds weights that no layer uses",
        "A parameter belongs to no layer of model.layers. It may be a layer that was left out, and then the "
        "certificate would be for another network.",
        "",
        "List every layer, or save the weights without the parameter.",
    ),
    "unknown-parameter": Explanation(
        "penalty.weight_decay and the parameters do not fit",
        "A parameter of the model matches no name or pattern of penalty.weight_decay, or a name or pattern there "
        "matches no parameter.",
        "",
        "Say the weight decay of every parameter, 0 for those that are not penalized; '*' at the end stands for all "
        "others.",
    ),
    "no-weights": Explanation(
        "the model file holds no weights",
        "The file is readable and contains no tensor.",
        "",
        "Save the trained weights: torch.save(model.state_dict(), PATH).",
    ),
    "bias-mismatch": Explanation(
        "the problem speaks of a bias that the model has not, or the other way round",
        "biases: or skip: in the problem contradicts what the model file holds, or the penalty does not say how that "
        "bias is penalized.",
        "",
        "Write penalized, free or absent as the message says. The three mean different objectives.",
    ),
    "shape-mismatch": Explanation(
        "shapes that do not fit together",
        "Weights, inputs, targets, mask or sample weights have shapes that do not agree. A target of shape (n,) "
        "against outputs of shape (n, 1) would broadcast to (n, n) in torch, which is another objective; certify "
        "reshapes it only where one output leaves no doubt.",
        "",
        "Reshape as the message says.",
    ),
    "target-range": Explanation(
        "targets outside what the loss allows",
        "For example labels 0 and 1 for soft-margin, which needs −1 and +1, or class indices beyond the number of "
        "outputs; also negative sample weights, and indices outside a matrix to complete.",
        "",
        "Convert the targets, or choose the loss that fits them: binary-cross-entropy takes 0 and 1.",
    ),
    "unknown-loss": Explanation(
        "a loss that certify does not know",
        "The loss must be one of those in the reference, named as there.",
        "",
        "Correct the name, for example mse or cross-entropy.",
    ),
    "mask": Explanation(
        "a mask that cannot be used",
        "The mask is not boolean, leaves no entry observed, stands in a format that holds none, or is given for a loss "
        "that couples the outputs of a sample (cross-entropy).",
        "",
        "Give a boolean array of the shape of the targets, or drop the mask; rows can be left out by sample weights 0.",
    ),
    "missing-array": Explanation(
        "the data file has no such array or column",
        "A name in data: is not in the file.",
        "",
        "Use a name that the message lists, or rename the array.",
    ),
    "duplicate": Explanation(
        "an entry of the matrix is given more than once",
        "Two triples of rows, cols and values name the same entry of the matrix to complete.",
        "",
        "Keep one value per entry, for example their mean.",
    ),
    "missing-extra": Explanation(
        "an optional package is not installed",
        "Reading or writing this format needs a package that certify does not install by itself.",
        "",
        "Install the extra that the message names, such as pip install 'certify-optimality[onnx]'.",
    ),
    "missing-file": Explanation(
        "no such file",
        "A path leads to nothing. Paths in a problem file are relative to that file, paths in flags to the working "
        "folder.",
        "",
        "Correct the path.",
    ),
    "missing-package": Explanation(
        "an optional package is not installed",
        "What was asked for needs a package that certify does not install by itself.",
        "",
        "Install it with the command in the message.",
    ),
    "unreadable-file": Explanation(
        "the file cannot be read",
        "The path is a folder, a pipe or a device, or the operating system refuses access.",
        "",
        "Name a regular file that you may read.",
    ),
    "overwrite": Explanation(
        "an output would overwrite an input",
        "The path given for a model, certificate or report is a file that this run reads.",
        "",
        "Write to another path.",
    ),
    "unwritable": Explanation(
        "the file cannot be written",
        "The folder is missing or not writable, the path is a folder, or the format that its suffix names cannot hold "
        "this model. This is checked before long work starts.",
        "",
        "Choose another path, or another suffix.",
    ),
    "exists": Explanation(
        "the file exists already",
        "certify does not overwrite a problem file unasked.",
        "",
        "Use --force, or another path with -o.",
    ),
    "device": Explanation(
        "the device is unknown, missing or has no float64",
        "Claims are computed in float64, on the CPU or on a CUDA device.",
        "",
        "Use --device auto, cpu, cuda or cuda:N.",
    ),
}

REFUSALS: dict[str, Explanation] = {
    "too-large-for-exact": Explanation(
        "the certificate is too large for exact arithmetic",
        "`certify verify --exact` computes in balls of 128 bits and more, one number at a time. The certificate has "
        "more numbers, or more cones times samples, than that can be done for in minutes. It was not checked.",
        "",
        "Check it without --exact: rounding is then bounded by analysis, a hundred times faster.",
    ),
    "refused-input": Explanation(
        "an input file is refused",
        "The file is unsafe, corrupt, not finite, or over a limit.",
        "",
        "Do what the message says; certify never runs code from a file to read it.",
    ),
    "unsafe-file": Explanation(
        "reading the file would run code",
        "The file pickles more than tensors, settings and layers of torch.nn, or is a TorchScript archive. "
        "Loading it could run any program.",
        "",
        "Where you trust the file, save the weights alone: torch.save(model.state_dict(), PATH) or "
        "safetensors.torch.save_file(model.state_dict(), PATH); or weights and layers: torch.export.save.",
    ),
    "corrupt-file": Explanation(
        "the file is truncated, corrupt or of another kind",
        "The content is not that of any format that certify reads. The format is told by content, not by suffix.",
        "",
        "Write or download the file again. A .csv needs a first line that names the columns, and commas.",
    ),
    "not-a-state-dict": Explanation(
        "the file does not hold tensors by name",
        "The file holds a list, arrays, or a checkpoint whose weights are under no usual key, or under two of them.",
        "",
        "Save the state dict: torch.save(model.state_dict(), PATH).",
    ),
    "unsupported-schema": Explanation(
        "the file follows another version of its format",
        "A .pt2 file names the version of torch's export schema that it follows, an ONNX file that of the operators. "
        "Certify reads those that it knows, since another may give the same words another meaning.",
        "",
        "Save the model in a version named in the message, or upgrade certify.",
    ),
    "weight-type": Explanation(
        "weights of an unsupported kind",
        "A parameter is sparse, quantized, complex or of integers.",
        "",
        "Save dense float16, bfloat16, float32 or float64; all of them convert to float64 exactly.",
    ),
    "non-finite": Explanation(
        "NaN or infinity in weights, data or outputs",
        "A value is not finite, or the outputs overflow float64. No objective can be computed.",
        "",
        "Find out why: training diverged, or the data have missing values. The message gives the first index.",
    ),
    "dtype": Explanation(
        "data that are not real numbers in float64's range",
        "An array holds strings, objects, complex numbers, or integers beyond 2⁵³, which float64 cannot hold exactly.",
        "",
        "Convert the array to float64 and save it again.",
    ),
    "not-numeric": Explanation(
        "a cell of the table is not a number",
        "The message names line and column of the .csv.",
        "",
        "Encode categories as numbers and fill in or drop missing values first.",
    ),
    "time-limit": Explanation(
        "the item of an audit was ended after its wall clock limit",
        "The process of the item was still running when its hard limit was over, and was killed with everything that "
        "it had started. The limit is limits.seconds, by default twice the budget and a minute.",
        "",
        "Raise limits.seconds, lower the budget, or find out with certify check what takes so long.",
    ),
    "memory-limit": Explanation(
        "the item of an audit ran out of its memory",
        "The process of the item asked for more private memory than limits.memory_gib, by default that of the machine.",
        "",
        "Raise limits.memory_gib, or check a smaller model or fewer data.",
    ),
    "over-limit": Explanation(
        "the file is over the size limit",
        "The file, or what it unpacks to, is larger than certify reads.",
        "",
        "Save a smaller file; an archive that unpacks to far more than its size may be an attack.",
    ),
}

DEFECTS: dict[str, Explanation] = {
    "crashed": Explanation(
        "the process of an audit's item crashed",
        "The process that checked the item ended without a result: by a signal, or because it was killed from outside, "
        "as the kernel does for want of memory. No claim was made about it; other items are not affected.",
        "",
        "Run the item alone with certify check. If memory is short, run fewer --jobs, or set limits.memory_gib so that "
        "one item cannot take all of it.",
    ),
    "internal": Explanation(
        "a defect of certify",
        "Something happened that should not be possible. No claim was made.",
        "",
        "Run again with CERTIFY_DEBUG=1 and report the traceback with the command.",
    ),
}

EXPLANATIONS: dict[str, Explanation] = OUTCOMES | HYPOTHESES | PROBLEM_ERRORS | REFUSALS | DEFECTS
