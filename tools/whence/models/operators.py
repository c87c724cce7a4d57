"""Operators that an exported model may use: they compute numbers from numbers, the same every time. `whence` has the same
list (src/game/script_operators.inc) and checks a file against it before anything in it runs."""

ARITHMETIC = """abs add addbmm addcdiv addcmul addmm addmv addr acos acosh asin asinh atan atan2 atanh baddbmm bmm ceil
clamp clamp_max clamp_min cos cosh deg2rad digamma div divide dot einsum erf erfc erfinv exp exp2 expm1 float_power floor
floor_divide fmax fmin fmod frac hypot inner kron ldexp lerp lgamma linear log log10 log1p log2 logaddexp logaddexp2 logit
matmul maximum minimum mm mul multiply mv neg negative outer polygamma pow positive rad2deg reciprocal remainder round rsqrt
rsub sgn sigmoid sign sin sinc sinh special_erf special_erfc special_erfinv special_expit special_gammaln special_log1p
special_log_ndtr special_log_softmax special_logit special_ndtr special_softmax special_xlogy sqrt square sub subtract tan
tanh tensordot true_divide trunc xlogy"""

REDUCTIONS = """all amax amin any argmax argmin cdist cosine_similarity cummax cummin cumprod cumsum dist frobenius_norm
kthvalue linalg_det linalg_inv linalg_matrix_norm linalg_norm linalg_slogdet linalg_vector_norm log_softmax logcumsumexp
logdet logsumexp max mean median min norm nuclear_norm pairwise_distance pdist prod renorm slogdet softmax softmin std
std_mean sum topk trace trapezoid var var_mean"""

SHAPES = """Bool Float Int IntImplicit FloatImplicit ScalarImplicit alias arange as_tensor atleast_1d atleast_2d atleast_3d
block_diag broadcast_tensors broadcast_to cat chunk clone combinations concat concatenate constant_pad_nd contiguous detach
diag diag_embed diagflat diagonal diff dsplit dstack empty empty_like expand expand_as eye fill flatten flip fliplr flipud
full full_like gather hsplit hstack index index_add index_copy index_fill index_put index_select item linspace logspace
masked_fill masked_scatter masked_select meshgrid moveaxis movedim narrow new_empty new_full new_ones new_zeros numel ones
ones_like one_hot pad permute pixel_shuffle pixel_unshuffle put ravel reflection_pad1d reflection_pad2d reflection_pad3d
repeat repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as roll rot90 row_stack
scalar_tensor scatter scatter_add scatter_reduce select slice sort split split_with_sizes squeeze stack swapaxes swapdims t
take take_along_dim tensor tensor_split tile to transpose tril tril_indices triu triu_indices type_as unbind unflatten unfold
unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
vander vsplit vstack view view_as where zeros zeros_like size dim len is_floating_point requires_grad_ _shape_as_tensor
_reshape_from_tensor __getitem__ _unwrap_optional append list copy neg"""

COMPARISONS = """__and__ __or__ __xor__ __not__ __is__ __isnot__ __contains__ bitwise_and bitwise_not bitwise_or bitwise_xor eq equal ge gt
greater greater_equal isclose isfinite isinf isnan le less less_equal logical_and logical_not logical_or logical_xor lt ne
not_equal"""

LAYERS = """_convolution adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear binary_cross_entropy binary_cross_entropy_with_logits celu col2im
conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss cross_entropy_loss
dropout alpha_dropout feature_dropout feature_alpha_dropout elu embedding gelu glu grad group_norm gru gru_cell hardshrink
hardsigmoid hardswish hardtanh hinge_embedding_loss huber_loss im2col instance_norm kl_div l1_loss layer_norm leaky_relu
log_sigmoid lstm lstm_cell margin_ranking_loss max_pool1d max_pool2d max_pool3d mish mse_loss native_group_norm
native_layer_norm nll_loss nll_loss2d nll_loss_nd poisson_nll_loss prelu relu relu6 rms_norm rnn_relu rnn_relu_cell rnn_tanh
rnn_tanh_cell selu silu smooth_l1_loss soft_margin_loss softplus softshrink tanhshrink threshold triplet_margin_loss"""

IN_PLACE = """add_ addcdiv_ addcmul_ celu_ clamp_ clamp_max_ clamp_min_ copy_ div_ dropout_ elu_ exp_ fill_ hardsigmoid_
hardswish_ hardtanh_ index_add_ index_copy_ index_fill_ index_put_ leaky_relu_ log_ masked_fill_ mish_ mul_ neg_ pow_ relu6_
relu_ scatter_ scatter_add_ selu_ sigmoid_ silu_ sqrt_ sub_ tanh_ threshold_ squeeze_ unsqueeze_ transpose_ t_ zero_"""

OF_GRAPHS = """CallFunction Constant GetAttr If ListConstruct ListUnpack Loop NumToTensor Return TupleConstruct TupleIndex TupleUnpack
device dtype max min unchecked_cast data Uninitialized"""

ALLOWED = frozenset(["aten::" + name for part in (ARITHMETIC, REDUCTIONS, SHAPES, COMPARISONS, LAYERS, IN_PLACE)
                     for name in part.split()] + ["prim::" + name for name in OF_GRAPHS.split()])
DROPOUTS = frozenset("aten::" + name for name in
                     "dropout dropout_ alpha_dropout feature_dropout feature_alpha_dropout".split())
RANDOM = ("rand", "normal", "bernoulli", "multinomial", "poisson", "exponential", "cauchy", "geometric", "dropout",
          "uniform", "rrelu", "gumbel")


def nodes_in(graph):
    """All nodes of a graph, also of blocks inside."""
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from nodes_in(block)


def constant(value):
    """The Python value of a constant of a graph; None where it is None or no constant."""
    return value.toIValue() if value.node().kind() == "prim::Constant" else None
