"""Torch files beyond a plain state dict: checkpoints with more in them, whole modules, and what is refused."""

import copy
import io
import pickle
import subprocess
import sys
import textwrap
import zipfile

import pytest
import torch
from torch import nn

from certify.errors import RefusedError, UnsupportedError, UsageError
from certify.models.graph.layers import LayerGraph
from certify.models.loading import Problem
from certify.models.model_file import graph_of_file, read_model_file
from certify.models.spec.layer_list import parse_layers
from certify.models.spec.problem_file import load_problem_file

CHAIN = nn.Sequential(
    nn.Conv2d(1, 3, 3, padding=1, stride=2),
    nn.BatchNorm2d(3),
    nn.LeakyReLU(0.2),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.Flatten(),
    nn.Sequential(nn.Dropout(0.5), nn.Linear(12, 5), nn.PReLU(5)),
    nn.Identity(),
    nn.Linear(5, 2, bias=False),
)


def saved(tmp_path, value, zipped=True):
    path = tmp_path / "model.pt"
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_of_known_layers_computes_what_torch_computes(tmp_path, zipped):
    torch.manual_seed(0)
    inputs = torch.randn(5, 1, 6, 6, dtype=torch.float64)
    module = copy.deepcopy(CHAIN)
    with torch.no_grad():
        module.train()(inputs.float())  # Gives batch norm statistics of its own.
        path = saved(tmp_path, module, zipped)
        expected = module.double().eval()(inputs)
    graph = graph_of_file(path, None)
    assert graph.format == "module"
    assert [layer.op for layer in graph.layers][:3] == ["conv2d", "batch_norm", "leaky_relu"]
    torch.testing.assert_close(graph.forward(inputs), expected, rtol=1e-12, atol=1e-14)


def test_a_module_file_needs_no_layers_and_takes_none(write_problem, network, data_file, tmp_path):
    path = saved(tmp_path, network)
    problem = Problem.from_files(load_problem_file(write_problem()))
    assert problem.source.family == "relu"
    assert not any(note.startswith("assumed") for note in problem.source.notes)
    with pytest.raises(UsageError, match=r"remove model\.layers") as caught:
        graph_of_file(path, parse_layers([{"linear": 0}, "relu", {"linear": 2}]))
    assert caught.value.code == "layers-given"


def test_an_unknown_layer_of_torch_is_named(tmp_path):
    graph = graph_of_file(saved(tmp_path, nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 2))), None)
    assert [layer.op for layer in graph.layers] == ["linear", "LSTM"]


def test_settings_that_change_what_a_layer_computes_are_not_passed_over(tmp_path):
    module = nn.Sequential(
        nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular"), nn.BatchNorm1d(2, track_running_stats=False)
    )
    graph = graph_of_file(saved(tmp_path, module), None)
    assert [layer.op for layer in graph.layers] == ["Conv1d", "BatchNorm1d"]


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)


def test_a_module_of_another_class_is_refused_by_name_with_the_way_to_save_it(tmp_path):
    with pytest.raises(
        RefusedError, match=r"would run pickled code \(tests\.models\.readers\.test_torch_files\.Custom\)"
    ) as caught:
        read_model_file(saved(tmp_path, Custom()))
    assert caught.value.code == "unsafe-file"
    assert "torch.export.save" in str(caught.value)


def test_hooks_in_a_module_are_refused(tmp_path):
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].register_forward_hook(print)
    with pytest.raises(RefusedError, match=r"would import \w+\.print"):
        read_model_file(saved(tmp_path, module))
    module = nn.Sequential(nn.Linear(2, 2))
    module[0]._forward_hooks[0] = dict
    with pytest.raises(UnsupportedError, match="hooks"):
        read_model_file(saved(tmp_path, module))


def test_a_module_whose_object_says_what_it_computes_is_refused(tmp_path):
    module = nn.Sequential(nn.Linear(2, 2))
    module.forward = dict
    with pytest.raises(RefusedError, match="whose forward is code"):
        read_model_file(saved(tmp_path, module))


@pytest.mark.parametrize("nest", ["state_dict", "model_state_dict", "model"])
def test_weights_nested_in_a_checkpoint_are_found_with_a_note(tmp_path, network, nest):
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    wrapped = {f"module._orig_mod.model.{name}": t for name, t in network.state_dict().items()}
    path = saved(tmp_path, {"epoch": 3, nest: wrapped, "optimizer": optimizer.state_dict(), "loss": 0.5})
    weights = read_model_file(path)
    assert list(weights.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert weights.prefix == "module._orig_mod.model."
    assert weights.notes[0] == f"weights read from '{nest}'; left aside: 'epoch', 'optimizer', 'loss'"


def test_a_checkpoint_may_nest_a_module(tmp_path, network):
    graph = read_model_file(saved(tmp_path, {"epoch": 1, "model": network}))
    assert isinstance(graph, LayerGraph)
    assert [layer.op for layer in graph.layers] == ["linear", "relu", "linear"]


LIGHTNING = """
    import sys, torch, pytorch_lightning as pl

    class Net(pl.LightningModule):
        def __init__(self, width=4, activation=torch.nn.ReLU):
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Linear(3, width), activation(), torch.nn.Linear(width, 1))

        def training_step(self, batch, index):
            return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), weight_decay=1e-2)

    data = torch.utils.data.TensorDataset(torch.ones(4, 3), torch.ones(4, 1))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet)
    model = Net()
    trainer.fit(model, torch.utils.data.DataLoader(data))
    trainer.save_checkpoint(sys.argv[1])
    torch.save(model.state_dict(), sys.argv[2])
"""


def test_a_checkpoint_of_lightning_holds_its_state_dict(tmp_path):
    checkpoint, plain = tmp_path / "last.ckpt", tmp_path / "plain.pt"
    command = [sys.executable, "-c", textwrap.dedent(LIGHTNING), str(checkpoint), str(plain)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    one, other = read_model_file(checkpoint), read_model_file(plain)
    assert one.format == "ckpt"
    assert (
        list(one.parameters) == list(other.parameters) == ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]
    )
    assert all(torch.equal(one.parameters[name], other.parameters[name]) for name in one.parameters)
    assert "'hparams_name' and 1 more" in one.notes[0]


@pytest.mark.parametrize("zipped", [True, False])
def test_views_are_read_as_torch_reads_them(tmp_path, zipped):
    base = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    tensors = {"a": base[1::2, 3:].T, "b": torch.randn(()), "c": torch.empty(0, 3), "d": torch.ones(1).expand(4, 2)}
    tensors["e"] = nn.Parameter(base[0].clone())
    tensors["f"] = nn.Buffer(base[2].clone())
    path = saved(tmp_path, tensors, zipped)
    found, expected = read_model_file(path).parameters, torch.load(path)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name].double()) for name in expected)


def test_a_negated_view_is_not_taken_at_its_stored_sign(tmp_path):
    negated = torch.ones(2, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    with pytest.raises(RefusedError, match="'a' is not stored as torch stores tensors"):
        read_model_file(saved(tmp_path, {"a": negated}))


def test_the_count_of_batch_norm_is_no_weight(tmp_path):
    path = saved(tmp_path, nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).state_dict())
    assert "1.num_batches_tracked" not in read_model_file(path).parameters


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_real_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), str(path))
    with pytest.raises(RefusedError, match="TorchScript archive holds code") as caught:
        read_model_file(path)
    assert caught.value.code == "unsafe-file"


def test_a_file_of_a_big_endian_machine_is_refused(tmp_path, network):
    path = saved(tmp_path, network.state_dict())
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            target.writestr(name, b"big" if name.endswith("byteorder") else content)
    with pytest.raises(RefusedError, match="big-endian"):
        read_model_file(path)


def test_every_kind_of_pickle_of_a_state_dict_is_read(tmp_path, network):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        buffer = io.BytesIO()
        torch.save(network.state_dict(), buffer, pickle_protocol=protocol)
        path = tmp_path / "model.pt"
        path.write_bytes(buffer.getvalue())
        assert len(read_model_file(path).parameters) == 4
